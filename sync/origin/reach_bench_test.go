package origin

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/sync/access"
	"github.com/scanedge/scanedge/sync/enrol"
	"github.com/scanedge/scanedge/sync/issuer"
	"github.com/scanedge/scanedge/sync/replica"
)

// BenchmarkReached is the time from a push's acknowledgement until the origin knows that every edge shows it: edges of this process that
// follow and report over mutual TLS.
func BenchmarkReached(b *testing.B) {
	for _, edges := range []int{1, 2, 10} {
		b.Run(fmt.Sprintf("edges=%d", edges), func(b *testing.B) {
			client := startReporting(b, edges)
			took := make([]time.Duration, b.N)
			b.ResetTimer()
			for i := range took {
				receipt, err := client.Push(b.Context(), "demo-a", []scanedge.Delta{{Subject: fmt.Sprint("s", i), Status: scanedge.Red}})
				if err != nil {
					b.Fatal(err)
				}
				began := time.Now()
				r, err := client.Reached(b.Context(), "demo-a", receipt.Offset)
				if took[i] = time.Since(began); err != nil || len(r.Reached) != edges {
					b.Fatal(r, err)
				}
			}
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(took[b.N/2].Seconds()*1e3, "p50-ms")
			b.ReportMetric(took[b.N*99/100].Seconds()*1e3, "p99-ms")
		})
	}
}

// startReporting starts an origin and edges that have caught up, and returns a client that may push.
func startReporting(b *testing.B, edges int) *scanedge.Origin {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	url, quiet := "https://"+l.Addr().String(), slog.New(slog.DiscardHandler)
	o, err := Open(b.Context(), Config{Dir: b.TempDir(), Issuers: []string{"demo-a"}, Logger: quiet, Metrics: metrics.NewSet(), EdgesAt: url})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(o.Close)
	server := &http.Server{Handler: o.API(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	o.Secure(server)
	go func() { _ = server.ServeTLS(l, "", "") }()
	b.Cleanup(func() { server.Close() })
	for i := range edges {
		reportingEdge(b, o, url, fmt.Sprint("edge-", i))
	}
	client := scanedge.NewOrigin(url, o.tokens.Push)
	client.TrustCA(o.enrolled.ca.Pool())
	for range 3000 {
		if o.status(time.Now()).State == scanedge.Healthy {
			return client
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.Fatal("the edges do not catch up: ", o.status(time.Now()).Why)
	return nil
}

// reportingEdge runs an edge without scans until the benchmark ends.
func reportingEdge(b *testing.B, o *Origin, url, name string) {
	b.Helper()
	quiet := slog.New(slog.DiscardHandler)
	token, _, err := o.enrolled.registry.Enrol(name, []string{enrol.All}, nil, url, false)
	if err != nil {
		b.Fatal(err)
	}
	id, err := enrol.Join(b.Context(), token, filepath.Join(b.TempDir(), "identity"), quiet)
	if err != nil {
		b.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: id.Client(), ReadBufferSize: 64 << 10}
	client := &http.Client{Transport: tr}
	k := replica.New(replica.Config{
		Origin: url, Client: client, Sources: client, Dir: b.TempDir(), SnapshotEvery: time.Hour, ScrubEvery: time.Hour,
		Learned: func(access.Control) {}, Publish: func(issuer.Public, replica.View) {}, Logger: quiet, Metrics: metrics.NewSet(),
	})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { k.Run(ctx) })
	b.Cleanup(func() { cancel(); running.Wait(); tr.CloseIdleConnections() })
}
