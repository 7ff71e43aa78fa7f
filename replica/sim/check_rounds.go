package sim

import "fmt"

// roundsPerNode is how many deltas may be begun for a node, for each node that
// there is, until it has what all have: what is new at each of them, in the order
// in which it comes, and once more where a link broke in between.
const roundsPerNode = 4

// rounds wants that after the end of all faults a node has all within so many
// rounds of anti-entropy in a namespace: deltas that were begun for it then.
// Within what time is for settle to say (maxSettleMillis).
var rounds = checker{
	name: "rounds",
	settled: func(w *world, n *Node) string {
		for _, sp := range n.spaces {
			w.count.Rounds = max(w.count.Rounds, sp.rounds)
			if most := roundsPerNode * len(w.nodes); sp.rounds > most {
				return fmt.Sprintf("%s: %d deltas until all was here, with %d nodes", sp.name, sp.rounds, len(w.nodes))
			}
		}
		return ""
	},
}
