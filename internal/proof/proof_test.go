package main

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

const root = "../.."

func TestTheTableIsWhatTheLedgerSays(t *testing.T) {
	l, err := readLedger(root)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, tableFile))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != l.table() {
		t.Errorf("%s is not what the ledger says: go run ./internal/proof table", tableFile)
	}
}

// What each kind of line of go test -json comes to.
var eventCases = []struct {
	name, lines string
	figures     figures
	failed      string
	skipped     string
}{
	{
		"attributes of two tests", `
{"Action":"attr","Package":"p","Test":"TestA","Key":"seeds","Value":"3"}
{"Action":"attr","Package":"p","Test":"TestB","Key":"seeds","Value":"4"}
{"Action":"attr","Package":"q","Test":"TestB","Key":"fault.loss","Value":"1"}`,
		figures{"seeds": 7, "fault.loss": 1, "violations": 0}, "", "",
	},
	{
		"an attribute that is no number", `
{"Action":"attr","Package":"p","Test":"TestA","Key":"built-with","Value":"go"}`,
		figures{"violations": 0}, "", "",
	},
	{
		"a subtest that fails", `
{"Action":"output","Package":"p","Test":"TestA/1","Output":"seed 9 lost a write\n"}
{"Action":"fail","Package":"p","Test":"TestA/1"}
{"Action":"fail","Package":"p","Test":"TestA/2"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}`,
		figures{"violations": 2}, "p TestA/1: seed 9 lost a write\n|p TestA/2: ", "",
	},
	{
		"more violations than tests", `
{"Action":"attr","Package":"p","Test":"TestA","Key":"violations","Value":"5"}
{"Action":"fail","Package":"p","Test":"TestA"}`,
		figures{"violations": 5}, "p TestA: ", "",
	},
	{
		"a package without tests that run", `
{"Action":"build-output","ImportPath":"p","Output":"undefined: x\n"}
{"Action":"build-fail","ImportPath":"p"}
{"Action":"fail","Package":"p","FailedBuild":"p"}`,
		figures{"violations": 1}, "p: undefined: x\n", "",
	},
	{
		"a test that is left out", `
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"skip","Package":"q"}`,
		figures{"violations": 0}, "", "TestA",
	},
	{
		"executions, which each line sums up", `
{"Action":"output","Package":"p","Output":"fuzz: elapsed: 0s, gathering baseline coverage: 0/9 completed\n"}
{"Action":"output","Package":"p","Output":"fuzz: elapsed: 3s, execs: 1000 (333/sec), new interesting: 0 (total: 9)\n"}
{"Action":"output","Package":"p","Output":"fuzz: elapsed: 6s, execs: 2500 (500/sec), new interesting: 1 (total: 10)\n"}`,
		figures{"executions": 2500, "violations": 0}, "", "",
	},
}

func TestEventsAreSummed(t *testing.T) {
	for _, tc := range eventCases {
		t.Run(tc.name, func(t *testing.T) {
			a := newAccount()
			if err := a.read(strings.NewReader(tc.lines)); err != nil {
				t.Fatal(err)
			}
			a.close()
			if !maps.Equal(a.figures, tc.figures) {
				t.Errorf("figures %v, want %v", a.figures, tc.figures)
			}
			var failed []string
			for _, f := range a.failed {
				failed = append(failed, f.String()+": "+f.output)
			}
			if got := strings.Join(failed, "|"); got != tc.failed {
				t.Errorf("failed %q, want %q", got, tc.failed)
			}
			if got := strings.Join(a.skipped, "|"); got != tc.skipped {
				t.Errorf("skipped %q, want %q", got, tc.skipped)
			}
		})
	}
	if err := newAccount().read(strings.NewReader("FAIL p")); err == nil {
		t.Error("what is no JSON is no error")
	}
}

func TestSeedsAreSharedWithoutGapOrOverlap(t *testing.T) {
	for _, tc := range []struct {
		count, parts uint64
		want         []seedRange
	}{
		{5, 2, []seedRange{{10, 2}, {12, 3}}},
		{1, 4, []seedRange{{10, 1}}},
		{4, 1, []seedRange{{10, 4}}},
	} {
		if got := (seedRange{10, tc.count}).parts(tc.parts); !slices.Equal(got, tc.want) {
			t.Errorf("%d seeds in %d parts: %v, want %v", tc.count, tc.parts, got, tc.want)
		}
	}
}

const lines = `{"commit":"aaaaaaaaaa","date":"2026-01-01","figures":{"fault.cut":2,"seeds":1000,"violations":1},"first":1,"last":1000,"seconds":9,"suite":"a","failed":["p TestA"]}
{"commit":"bbbbbbbbbb","date":"2026-01-02","figures":{"fault.cut":3,"seeds":500,"violations":0},"first":1001,"last":1500,"seconds":9,"suite":"a"}
{"commit":"bbbbbbbbbb","date":"2026-01-02","figures":{"fault.cut":0,"seeds":500,"violations":0},"first":1501,"last":2000,"seconds":9,"suite":"a"}
{"commit":"bbbbbbbbbb","date":"2026-01-02","figures":{"mistakes-found":8,"mistakes-planted":9,"violations":1},"seconds":9,"suite":"planted"}
`

func TestALedgerAddsUpOverCommits(t *testing.T) {
	l, err := parseLedger([]byte(lines))
	if err != nil {
		t.Fatal(err)
	}
	if a, b := l.next("a"), l.next("b"); a != 2001 || b != 1 {
		t.Errorf("next seeds %d and %d, want 2001 and 1", a, b)
	}
	table := l.table()
	for _, want := range []string{
		"| `bbbbbbb`, 2026-01-02 | 1,000 seeds | 2,000 seeds | 10,000,000 (0.0%) |  | 5 | **0** | 1 |",
		"| 8 of 9 found | 8 of 9 found |",
		"| fault | a |",
		"| cut | 5 |",
		"Last seed: 2,000.",
		"never run",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("the table does not say %q:\n%s", want, table)
		}
	}
}

func TestALedgerThatSaysSomethingElseIsAnError(t *testing.T) {
	for _, line := range []string{
		"{", `{"suite":"a","commit":"c","others":1}`, `{"suite":"z","commit":"c"}`, `{"suite":"a"}`, `{"suite":"a","commit":"c","first":2,"last":1}`, "\n",
	} {
		if l, err := parseLedger([]byte(line)); err == nil {
			t.Errorf("%q is read as %v", line, l)
		}
	}
	if l, err := parseLedger(nil); err != nil || len(l) > 0 {
		t.Errorf("an empty one is read as %v, %v", l, err)
	}
}

func TestFuzzTargetsAreFound(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	got, err := targetsIn(fstest.MapFS{
		"a/x_test.go":          file("func FuzzOne(f *testing.F) {\n}\n\nfunc FuzzTwo(t *testing.F) {\n}\n\nfunc fuzzed() {}\n"),
		"a/x.go":               file("func FuzzNone(f *testing.F) {}\n"),
		"a/testdata/x_test.go": file("func FuzzNone(f *testing.F) {}\n"),
		".b/x_test.go":         file("func FuzzNone(f *testing.F) {}\n"),
	})
	if want := []target{{"./a", "FuzzOne"}, {"./a", "FuzzTwo"}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("found %v (%v), want %v", got, err, want)
	}
	if got[0].figure() != "executions.a.FuzzOne" {
		t.Errorf("counted as %s", got[0].figure())
	}
}

func TestOnlyAnInputFailsATarget(t *testing.T) {
	for output, want := range map[string]bool{
		"--- FAIL: FuzzOne (10.02s)\n    context deadline exceeded\n":                                             true,
		"--- FAIL: FuzzOne\n    context deadline exceeded\n    Failing input written to testdata/fuzz/FuzzOne/1f": false,
		"--- FAIL: FuzzOne\n    read twice\n    Failing input written to testdata/fuzz/FuzzOne/1f":                false,
	} {
		if got := endedLate(failure{output: output}); got != want {
			t.Errorf("%q: %v, want %v", output, got, want)
		}
	}
}

// Each job names tests that are there.
func TestEachJobHasTests(t *testing.T) {
	for _, s := range suites {
		for _, j := range s.jobs {
			if names := testsIn(t, j); len(names) == 0 {
				t.Errorf("%s: no test in %s is like %s", s.name, j.pkg, j.run)
			}
		}
	}
}

func testsIn(t *testing.T, j job) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, j.pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	run := regexp.MustCompile(j.run)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(text, -1) {
			if run.Match(m[1]) {
				names = append(names, string(m[1]))
			}
		}
	}
	return names
}

func TestArgumentsAreQuotedAsAShellTakesThem(t *testing.T) {
	j := job{pkg: "./p", run: "^(TestA|TestB)$", flags: []string{"-n={seeds}", "-from={first}"}}
	if got, want := quoted(j.args(seedRange{7, 3})), "-run '^(TestA|TestB)$' ./p -n=3 -from=7"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
