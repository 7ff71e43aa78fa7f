package main

// scene is one write in the demo: a command line as a user would type it.
type scene struct {
	node string
	why  string
	verb []string
}

func connectedScenes() []scene {
	return []scene{
		{"gateway", "promotes a model for the fleet", []string{"register", "set", "edge/model/active", `"detector-v1"`}},
		{"gateway", "sets the configuration", []string{"map", "put", "edge/config", `{"camera":{"fps":15,"night":false},"threshold":0.6}`}},
		{"camera", "names what it can see", []string{"set", "add", "edge/labels", `"person"`, `"forklift"`}},
		{"camera", "counts people", []string{"counter", "add", "edge/seen/person", "120"}},
		{"kiosk", "counts people, too", []string{"counter", "add", "edge/seen/person", "30"}},
	}
}

func partedScenes() []scene {
	return []scene{
		{"camera", "promotes a model", []string{"register", "set", "edge/model/active", `"detector-v2"`}},
		{"gateway", "promotes another one, a moment later", []string{"register", "set", "edge/model/active", `"detector-v3"`}},
		{"gateway", "closes the day: resets the count it sees, 150", []string{"counter", "reset", "edge/seen/person"}},
		{"camera", "goes on counting", []string{"counter", "add", "edge/seen/person", "45"}},
		{"kiosk", "goes on counting", []string{"counter", "add", "edge/seen/person", "7"}},
		{"camera", "takes a label out", []string{"set", "remove", "edge/labels", `"forklift"`}},
		{"kiosk", "puts the same label in", []string{"set", "add", "edge/labels", `"forklift"`}},
		{"camera", "removes the camera's configuration", []string{"map", "del", "edge/config/camera"}},
		{"kiosk", "changes one field of it", []string{"map", "put", "edge/config/camera/fps", "30"}},
	}
}

// outcome is what a path must hold in the end on every node, and why.
type outcome struct {
	Path  string `json:"path"`
	Value string `json:"value"`
	Why   string `json:"why"`
}

func outcomes() []outcome {
	return []outcome{
		{"model/active", `"detector-v3"`, "two promotions that had not seen each other: the later by clock wins;\nthe other can be seen, as below, until somebody writes again"},
		{"seen/person", "52", "the reset took away the 150 that it had seen; the 45 and the 7 that\nwere counted meanwhile survive"},
		{"labels", `["person","forklift"]`, "taken out here, put in there: in an add-wins set the addition wins"},
		{"config/camera/fps", "30", "the removal took the fields that it had seen ('night' is gone);\na write below it that it had not seen survives"},
		{"config/threshold", "0.6", "nobody touched it"},
	}
}
