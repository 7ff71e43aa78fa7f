package sim

import (
	"fmt"
	"strings"

	"github.com/anabranch-db/anabranch/replica/protocol"
)

// describe names an event or effect, for people who read a trace.
func describe(x any) string {
	name := strings.TrimPrefix(fmt.Sprintf("%T", x), "protocol.")
	switch x := x.(type) {
	case protocol.Received:
		return fmt.Sprintf("%s on %d, %d bytes", name, x.Link, len(x.Frame))
	case protocol.Send:
		return fmt.Sprintf("%s on %d, %d bytes", name, x.Link, x.Frame.Len())
	case protocol.LinkUp:
		return fmt.Sprintf("%s %d", name, x.Link)
	case protocol.LinkDown:
		return fmt.Sprintf("%s %d", name, x.Link)
	case protocol.Close:
		return fmt.Sprintf("%s %d: %v, %s", name, x.Link, x.Code, x.Reason)
	case protocol.Build:
		return fmt.Sprintf("%s %d on %d", name, x.Job, x.Link)
	case protocol.Built:
		return fmt.Sprintf("%s %d, %v", name, x.Job, x.Err)
	case protocol.Apply:
		return fmt.Sprintf("%s %d on %d", name, x.Job, x.Link)
	case protocol.Applied:
		return fmt.Sprintf("%s %d, %v", name, x.Job, x.Err)
	case protocol.Reconcile:
		return fmt.Sprintf("%s %d on %d", name, x.Job, x.Link)
	case protocol.Reconciled:
		return fmt.Sprintf("%s %d, %v", name, x.Job, x.Err)
	case protocol.Served:
		return fmt.Sprintf("%s %d, %v", name, x.Job, x.Err)
	case protocol.Cancel:
		return fmt.Sprintf("%s %d", name, x.Job)
	}
	return name
}
