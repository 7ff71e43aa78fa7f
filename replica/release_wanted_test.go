package replica

var releases = []release{firstRelease, secondRelease}

// What each release holds.

var firstRelease = release{
	dir:  firstReleaseDir,
	node: "616f1fcbe734056eba23d8fb7f60cbe1fa343955649cceaba207ea899de6ebb1 of 3df0a6ab108742859b1721c4a91e4cc3c070eeb0dd6db44a7ca2dd2fd274fa3a",
	edge: wantedRelease{
		reading: `name v2 there
conflicts [v2 there(node-b run1 #001 117665641332736001) v2 here(node-a run1 #001 117665641267200002)]
gone missing
run 2
owner [cy(node-a run1 #001 117665641267200002) bob(node-b run1 #001 117665641332736001)]
seen 10
labels [a c d]
blocked [y z]
armed true
muted false
config map[mode:manual rate:20]
peak 11
low 2
events [ready here there]
`,
		digest: "9d8f6c0baded2cd5336bf9138cd74540831709da242d94510e774520bb4405ca",
		vector: map[string]uint64{"node-a run1 #001": 2, "node-a run2 #001": 1, "node-b run1 #001": 1},
	},
	things: wantedRelease{
		digest: "5d44b97cd00616e51dbd7858795538e70904bbde98548679b923f7f9af58a3d3",
		vector: map[string]uint64{"node-a run2 #002": 1},
	},
}

// What the first holds after the exchange.

var exchangedEdge = wantedRelease{
	reading: `name v2 there
conflicts [v2 there(node-b run1 #001 117665641332736001) v2 here(node-a run1 #001 117665641267200002)]
gone missing
run 2
owner [dan(node-b run2 #001 117665641332736003)]
seen 1110
labels [a c d e]
blocked [z]
armed true
muted false
config map[mode:manual rate:20]
peak 11
low 2
events [ready here there news late]
`,
	digest: "e85f114ef86892887c32d5821f10f25a37cc93fa36102906700dd7d659d5b3af",
	vector: map[string]uint64{
		"node-a run1 #001": 2, "node-a run2 #001": 1, "node-a run3 #001": 1,
		"node-b run1 #001": 1, "node-b run2 #001": 2,
	},
}

var exchangedThings = wantedRelease{
	digest: "3e152955d176b86c475043b43b05c9c4a0a837816a4f0e11989ae1d26e1f0915",
	vector: map[string]uint64{"node-a run2 #002": 1, "node-b run2 #002": 1},
}

var exchangedExtra = wantedRelease{
	digest: "dbe81e9c7e283d4d90213d8dc1b1e2ce541d79b07f07051a0a4a72c97bd223be",
	vector: map[string]uint64{"node-a run3 #003": 1},
}

var secondRelease = release{
	dir:       secondReleaseDir,
	node:      "560d9d4d5996649fa085e6e1e2d4ffef7eb77d799cd50d93fdb0879c0bb95bf2 of 8e17de5468cb9af1534928edc38dca43580321e7235656b8b0991d75d16496fc",
	collected: true,
	edge: wantedRelease{
		reading: `name v2 there
conflicts [v2 there(node-b run1 #001 117665641332736001) v2 here(node-a run1 #001 117665641267200002)]
gone missing
run 2
owner [cy(node-a run1 #001 117665641267200002) bob(node-b run1 #001 117665641332736001)]
seen 31
labels [a d]
blocked [y z]
armed missing
muted false
config map[mode:manual rate:20]
peak 11
low 2
events [ready here there]
kept goes on
lease missing
guests [eve]
`,
		digest: "897c39d581fe8114cdf636406203620b8287d71f1a159739250f58374933467f",
		vector: map[string]uint64{
			"node-a run1 #001": 2, "node-a run2 #001": 1, "node-a run4 #001": 2, "node-b run1 #001": 1,
		},
	},
	things: wantedRelease{
		digest: "5d44b97cd00616e51dbd7858795538e70904bbde98548679b923f7f9af58a3d3",
		vector: map[string]uint64{"node-a run2 #002": 1},
	},
}
