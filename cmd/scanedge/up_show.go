package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/scanedge/scanedge/cmd/internal/fleet"
)

// showUp prints what runs where and lines to paste into a shell.
func showUp(w io.Writer, up fleet.Up, dir string) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "\nprocess\tpid\tanswers at\tmetrics and pprof at\tdata\n")
	fmt.Fprintf(table, "origin\t%d\t%s\t%s\t%s\n", up.OriginPID, up.Origin, up.OriginAdmin, filepath.Join(dir, "origin"))
	for _, e := range up.Edges {
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\n", e.Name, e.PID, e.Scan, e.Admin, filepath.Join(dir, e.Name))
	}
	fmt.Fprintf(table, "\npush token\t%s\n", up.PushToken)
	fmt.Fprintf(table, "scanner key\t%s\n", up.ScannerKey)
	fmt.Fprintf(table, "for scripts\t%s\n", filepath.Join(dir, fleet.UpFile))
	table.Flush()

	edge := up.Edges[0]
	if len(up.Sample) > 0 {
		fmt.Fprintf(w, "\nScan a subject that is %s (of %d):\n", statuses(up.Sample), up.Subjects)
	}
	for _, s := range up.Sample {
		fmt.Fprintf(w, "  %s\n", curlScan(up, edge, s.Code))
	}
	fmt.Fprintf(w, `
Turn a subject red, then scan it on another edge. The guest is yours to play with; leave the d... subjects as they are, the
launch day (scanedge bench day) knows what each must answer:
  %s
  %s
`, curlPush(up, "demo-a", `{"subject":"guest","status":"red"}`), curlScan(up, up.Edges[len(up.Edges)-1], "demo-a:guest"))
	fmt.Fprintf(w, `
Scan many codes at once, and look inside:
  printf 'demo-a:guest\ndemo-b:d000000001\nnonsense\n' | curl %s --data-binary @- %s/v1/scan
  curl %s/metrics
  go tool pprof '%s/debug/pprof/profile?seconds=5'

Ctrl-C stops the fleet.

`, bearer(up.ScannerKey), edge.Scan, edge.Admin, edge.Admin)
}

// statuses reads like "green, yellow, red". They head the list: a remark behind a line would not survive the paste into zsh.
func statuses(sample []fleet.Sample) string {
	var words []string
	for _, s := range sample {
		words = append(words, s.Status)
	}
	return strings.Join(words, ", ")
}

func curlScan(up fleet.Up, edge fleet.Edge, code string) string {
	return fmt.Sprintf("curl %s %s/v1/scan/%s", bearer(up.ScannerKey), edge.Scan, code)
}

func curlPush(up fleet.Up, issuer, delta string) string {
	return fmt.Sprintf("curl %s --data-binary '%s' %s/v1/issuers/%s/deltas", bearer(up.PushToken), delta, up.Origin, issuer)
}

func bearer(token string) string { return "-H 'Authorization: Bearer " + token + "'" }
