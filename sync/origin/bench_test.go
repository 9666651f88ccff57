package origin

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// BenchmarkPush is pushes of one delta over HTTP, acknowledged once they are on the disk of the temporary folder.
func BenchmarkPush(b *testing.B) {
	for _, clients := range []int{1, 8, 64, 256} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			o, err := Open(b.Context(), Config{Dir: b.TempDir(), Issuers: []string{"demo-a"},
				Logger: slog.New(slog.DiscardHandler), Metrics: metrics.NewSet()})
			if err != nil {
				b.Fatal(err)
			}
			defer o.Close()
			s := httptest.NewServer(o.API())
			defer s.Close()
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
			defer client.CloseIdleConnections()
			took := make([]time.Duration, b.N)
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range clients {
				wg.Go(func() {
					for i := int(next.Add(1)); i <= b.N; i = int(next.Add(1)) {
						began := time.Now()
						if err := pushOne(client, s.URL, o.tokens.Push, i); err != nil {
							b.Error(err)
							return
						}
						took[i-1] = time.Since(began)
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pushes/s")
			b.ReportMetric(took[b.N/2].Seconds()*1e3, "p50-ms")
			b.ReportMetric(took[b.N*99/100].Seconds()*1e3, "p99-ms")
		})
	}
}

func pushOne(client *http.Client, url, token string, i int) error {
	body := fmt.Sprintf("{\"subject\":\"s%d\",\"status\":\"red\"}\n", i)
	req, err := http.NewRequest(http.MethodPost, url+"/v1/issuers/demo-a/deltas", strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Idempotency-Key", fmt.Sprint("key-", i))
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if answer, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", res.Status, answer)
	}
	return nil
}
