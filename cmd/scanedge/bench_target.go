package main

import (
	"cmp"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge/bench/load"
	"github.com/scanedge/scanedge/cmd/internal/fleet"
)

// ownFlag lets a benchmark reach for machines that are not this one.
const ownFlag = "i-own-this-target"

func addOwn(cmd *cobra.Command, own *bool) {
	cmd.Flags().BoolVar(own, ownFlag, false, "the target may be on other machines: they are mine to put under load")
}

// ownTarget refuses servers that are not on this machine, unless whoever gives the order answers for them: a load that is meant for one's
// own fleet takes a stranger's down. A name counts as this machine only if it is localhost, whatever it resolves to at the moment.
func ownTarget(urls []string, own bool) error {
	if own {
		return nil
	}
	for _, base := range urls {
		u, err := url.Parse(base)
		if err != nil {
			return usageError("the target %q is no URL: %w", base, err)
		}
		host := u.Hostname()
		if ip := net.ParseIP(host); ip == nil && !strings.EqualFold(host, "localhost") || ip != nil && !ip.IsLoopback() {
			return usageError("the target %s is not on this machine. If it is yours to put under load, and all who use it know, add --%s",
				base, ownFlag)
		}
	}
	return nil
}

// ownFleet is ownTarget of all that a run against a fleet sends to.
func ownFleet(up *fleet.Up, own bool) error {
	urls := []string{cmp.Or(up.Origin, up.OriginTLS)}
	for _, e := range up.Edges {
		urls = append(urls, e.Scan)
	}
	return ownTarget(slices.DeleteFunc(urls, func(u string) bool { return u == "" }), own)
}

// mayPlay refuses a run of a day that should not begin.
func mayPlay(up *fleet.Up, kinds []load.Kind, own bool) error {
	if err := ownFleet(up, own); err != nil {
		return err
	}
	return enoughFiles(load.Connections(len(up.Edges), kinds))
}

// What a run opens beside its connections to edges: reports, canaries, the runtime's own.
const filesBeside = 64

// enoughFiles refuses a run of so many connections that this process may not open: it would fail in its midst, as if the edges had.
func enoughFiles(connections int) error {
	return enoughOf(openFiles(), connections)
}

func enoughOf(may uint64, connections int) error {
	need := uint64(connections) + filesBeside
	if may >= need {
		return nil
	}
	return usageError("this run needs %d file descriptors, and this process may open %d; raise the limit before it: ulimit -n %d "+
		"(past the hard limit, which ulimit -Hn shows, root raises it)", need, may, need)
}
