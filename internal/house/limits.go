package house

const (
	// maxFileLines is what one reading takes in: a longer file has a second
	// reason to change.
	maxFileLines = 400
	// maxFuncLines is what one screen shows, signature and closing brace
	// included.
	maxFuncLines = 70
)
