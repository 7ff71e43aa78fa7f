package main

import "time"

// suite is tests that are run and accounted for together.
type suite struct {
	name  string
	title string
	does  string // for people, in a sentence or two
	// figure is the one that says how much was tried, and unit what it counts.
	figure, unit string
	of           string // the figure that it is a part of, if it is
	goal         int64  // of it over all commits; 0: none
	seeds        uint64 // how many a run takes if nothing is said; 0: it has none
	jobs         []job
	fuzz         time.Duration // for each fuzz target of the module; 0: it runs none
}

// job is a run of go test. In its flags {first} and {seeds} stand for the seeds.
type job struct {
	pkg, run string
	flags    []string
	// hosts says that it takes root, and the tools that make hosts of network
	// namespaces; without them it is left out.
	hosts bool
	// split says that it uses one processor, and runs in as many processes as
	// there are processors, each with a share of the seeds.
	split bool
	// steady says that it runs with the runtime of internal/steady.
	steady bool
}

// The figures for seeds and the goals are those of the project's plan; how many
// a run takes is what two processors do in some minutes.
var suites = []suite{
	{
		name: "a", title: "Tier A: simulated fleets", figure: seedsFigure, unit: "seeds", goal: 10_000_000, seeds: 20_000,
		does: "The protocol machine and the join, as they ship, over a modelled network and a modelled disk that forgets what was not " +
			"synced, on one goroutine, wholly fixed by a seed. Checked after every step, and once all faults are over.",
		jobs: []job{{
			pkg: "./replica/sim", run: "^TestFleetsThatPartAndRejoinConverge$",
			flags: []string{"-sim.seeds={seeds}", "-sim.first={first}"},
		}, {
			pkg: "./replica/sim", run: "^(TestARunFollowsFromItsPlan|TestRunsThatFailedOnce)$",
			flags: []string{"-replays=1000", "-replays.first={first}"},
		}},
	},
	{
		name: "b", title: "Tier B: whole nodes", figure: seedsFigure, unit: "seeds", goal: 100_000, seeds: 1_000,
		does: "Whole nodes: Pebble on disks that forget what was not synced, QUIC with mutual TLS on a simulated network of packets, " +
			"in a bubble of testing/synctest and with a runtime that leaves nothing to chance. A sample is run twice, and compared byte by byte.",
		jobs: []job{
			{
				pkg: "./replica", run: "^TestWholeNodesLiveThroughEverySeed$",
				flags: []string{"-whole.seeds={seeds}", "-whole.first={first}"}, split: true, steady: true,
			},
			{
				pkg: "./replica", run: "^TestASeedCanBeHadAgain$",
				flags: []string{"-whole.replays=500", "-whole.first={first}"}, steady: true,
			},
		},
	},
	{
		name: "c", title: "Tier C: daemons and hosts", figure: operationsFigure, unit: "operations",
		does: "The built binary: daemons on loopback that are killed under load, on disks that fill up and with wrong clocks, and on " +
			"hosts of network namespaces with loss and delay.",
		jobs: []job{
			{
				pkg: "./cmd/anabranch", flags: []string{"-kills=30"},
				run: "^Test(ParallelWritesRejoinToEqualDigests|KilledNodesKeepWhatTheyAcknowledged|DaemonsWithWrongClocksConverge|DaemonOnAFullDisk.*)$",
			},
			{pkg: "./cmd/anabranch", run: "^TestThreeHosts", flags: []string{"-netns"}, hosts: true},
			{pkg: "./internal/netlab", run: ".", flags: []string{"-netlab"}, hosts: true},
		},
	},
	{
		name: "crash", title: "Crashes and failing disks", figure: "crash-points", unit: "crash points", seeds: 20,
		does: "The power is cut at every write of a trace, with nothing, some and all of what was not synced kept; each operation of the " +
			"disk fails, once and for ever; files are torn, lost, and have bits flipped. What is left is right, or says that it is not.",
		jobs: []job{{
			pkg: "./store", run: "Cut|Crash|LosingPower|FailingDisk|FailingOperation|Damage|Damaged|Flipped|Torn|Lost|AheadOfTheLog|FailedFsync|Full|OnlyWholeBackups",
			flags: []string{"-every-cut", "-every-fault", "-every-bit", "-crash-seed={first}", "-crash-runs={seeds}"},
		}, {
			pkg: "./replica", run: "^Test(APowerCutAtAnyWriteTakesNothingThatWasAcknowledged|InitGoesOnAfterAPowerCut|AFileThatIsDamagedIsReportedOrHarmless|ADamagedIdentityIsRefused)$",
			flags: []string{"-every-cut", "-every-byte", "-crash-seed={first}", "-crash-runs={seeds}"},
		}, {
			pkg: "./transport", run: "^TestADamagedKeyIsNoOtherKey$",
		}},
	},
	{
		name: "oracle", title: "Histories against an oracle", figure: "histories", unit: "histories", seeds: 100_000,
		does: "Random histories of the types, and some of whole nodes, compared with what an oracle computes that knows of no vector, " +
			"dot, record or join.",
		jobs: []job{
			{pkg: "./crdt", run: "^TestOracleAgreesOnRandomHistories$", flags: []string{"-histories={seeds}", "-seed={first}"}},
			{pkg: "./replica", run: "^TestWholeNodesAgreeWithTheOracle$", flags: []string{"-whole.histories=2000", "-whole.first={first}"}},
		},
	},
	{
		name: "options", title: "One history under many options", figure: seedsFigure, unit: "seeds", seeds: 60,
		does: "A random history of whole nodes is played under sets of options, drawn by seed: caches, commit modes, retention, topology, " +
			"links that are slow or break, priorities, meters. All come to the same digests, and export the same bytes.",
		jobs: []job{{
			pkg: "./replica", run: "^TestOptionsChangeNoState$",
			flags: []string{"-meta-seeds={seeds}", "-meta-seed={first}", "-meta-sets=4"},
		}},
	},
	{
		name: "laws", title: "Laws, cases and unknown outcomes", figure: operationsFigure, unit: "operations",
		does: "All types as fields of nested maps, by every law and a model; cases that bit other systems, by their names; and Maelstrom's " +
			"rule: what a power cut ends before anybody hears of it is there once, or not at all.",
		jobs: []job{
			{pkg: "./crdt/crdttest", run: "^TestEverythingBelowAMap$", flags: []string{"-rapid.checks=10000"}},
			{pkg: "./crdt", run: "^TestNamedCases$"},
			{pkg: "./replica", run: "^TestUnknownOutcomesAreSomeOrNone$", flags: []string{"-unknown-seeds=300"}},
		},
	},
	{
		name: "planted", title: "Planted mistakes", figure: "mistakes-found", unit: "found", of: "mistakes-planted",
		does: "Mistakes of the past, made once more, one at a time: a change of the source that breaks one rule. A test must fail for each.",
		jobs: []job{{pkg: "./internal/planted", run: "^TestEachMistakeIsFound$", flags: []string{"-planted"}}},
	},
	{
		name: "fuzz", title: "Fuzzing", figure: executionsFigure, unit: "executions", fuzz: 10 * time.Second,
		does: "Every decoder of bytes that come from a peer, a disk or a person, each for its share of the time.",
	},
}

// suiteNamed returns a suite, or nil.
func suiteNamed(name string) *suite {
	for i := range suites {
		if suites[i].name == name {
			return &suites[i]
		}
	}
	return nil
}
