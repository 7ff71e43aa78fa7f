package house

// outside lists what a pure package gets as an argument or an event in place
// of an import: time, randomness, the network, the disk, and concurrency. What
// lies below one of them (os/exec, sync/atomic, math/rand/v2) is meant as well.
var outside = []string{
	"time", "net", "os", "context", "sync", "math/rand", "crypto/rand",
	"log", "runtime", "syscall", "io/ioutil",
}

func purity(s *source) (found []Finding) {
	r := roomOf(s.dir)
	if r == nil || !r.pure || s.test {
		return nil
	}
	for at, path := range s.imports {
		if withinAny(path, outside) {
			found = append(found, s.at(at, "purity", "%s is pure and must not import %s", s.dir, path))
		}
	}
	return found
}
