package main

import (
	"maps"

	"github.com/spf13/cobra"
)

// commands returns every command.
func commands(g *globals) []*cobra.Command {
	return []*cobra.Command{
		initCommand(g), inviteCommand(g), joinCommand(g), revokeCommand(g),
		serveCommand(g), peerCommand(g), offlineCommand(g), onlineCommand(g),
		namespaceCommand(g), statusCommand(g), digestCommand(g),
		registerCommand(g), counterCommand(g), setCommand(g), flagCommand(g),
		mapCommand(g), maxCommand(g), minCommand(g), logCommand(g),
		scanCommand(g), watchCommand(g), exportCommand(g), importCommand(g),
		backupCommand(g), restoreCommand(g), checkpointCommand(g), repairCommand(g), doctorCommand(g),
		demoCommand(g), simCommand(g), benchCommand(g), versionCommand(g),
	}
}

// handlers returns every verb that acts on a database, by its name on the
// daemon's socket.
func handlers() map[string]handler {
	all := map[string]handler{}
	for _, some := range []map[string]handler{
		clusterHandlers(), peerHandlers(), namespaceHandlers(), statusHandlers(),
		registerHandlers(), counterHandlers(), setHandlers(), flagHandlers(),
		mapHandlers(), extremumHandlers(), logHandlers(),
		scanHandlers(), watchHandlers(), transferHandlers(), backupHandlers(), doctorHandlers(),
	} {
		maps.Copy(all, some)
	}
	return all
}
