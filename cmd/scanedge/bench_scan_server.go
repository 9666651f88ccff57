package main

import (
	"net"

	"github.com/spf13/cobra"

	scanbench "github.com/scanedge/scanedge/bench/micro/scan"
	"github.com/scanedge/scanedge/edge"
	"github.com/scanedge/scanedge/edge/limit"
	"github.com/scanedge/scanedge/sync/access"
)

const benchServer = "scan-server"

// newBenchScanServerCmd is what bench scan runs in processes of their own: wired as an edge is.
func newBenchScanServerCmd() *cobra.Command {
	return &cobra.Command{
		Use:    benchServer,
		Short:  "Be a server of bench scan, as standard input says",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			collectEarly()
			return scanbench.Serve(cmd.InOrStdin(), cmd.OutOrStdout(), scanbench.Wiring{
				Ready: func(s *edge.Server, issuers []string, scannerKey string) {
					hash, keys := access.HashOf([]byte(scannerKey)), new(access.Uses)
					c := access.Control{ScannerKeys: map[access.Hash]string{hash: "bench"}, ScannerIDs: map[access.Hash]string{hash: "bench"}}
					keys.Learn(c, func(access.Limits, bool) *limit.Rules { return nil }) // as the demo's key: it has none
					s.Hold(issuers)
					learn(s, issuers, c, keys)
				},
				Serve: func(s *edge.Server, l net.Listener) error {
					return s.HTTP().Serve(s.Door(edge.Bounds{Connections: 10_000, PerAddress: 10_000}).Listen(unprobed{l}))
				},
			})
		},
	}
}

// unprobed hides from the door that its connections are of TCP, so that it does not know how long requests wait, and sheds none: all the load
// there is waits, as it is to.
type unprobed struct{ net.Listener }

func (l unprobed) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return struct{ net.Conn }{c}, nil
}
