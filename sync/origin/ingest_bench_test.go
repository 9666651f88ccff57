package origin

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/sync/issuer"
)

// The forms of a push that are measured: as the demo's, the shortest, spaced as other encoders do, and CSV.
var forms = map[string]struct{ contentType, header, line string }{
	"full":  {"application/x-ndjson", "", `{"subject":"d%09d","status":"red","until":"2027-01-31T12:00:00Z","reason":5}` + "\n"},
	"short": {"application/x-ndjson", "", `{"subject":"d%09d","status":"green"}` + "\n"},
	"loose": {"application/x-ndjson", "", `{"status": "red", "reason": 5, "until": "2027-01-31T12:00:00Z", "subject": "d%09d"}` + "\n"},
	"csv":   {"text/csv", "subject,status,until,reason\n", "d%09d,red,2027-01-31T12:00:00Z,5\n"},
}

func bodyOf(form string, rows int) []byte {
	var b bytes.Buffer
	b.WriteString(forms[form].header)
	for i := range rows {
		fmt.Fprintf(&b, forms[form].line, uint32(i)*2654435761%1_000_000_000)
	}
	return b.Bytes()
}

func packed(coding string, plain []byte) []byte {
	var b bytes.Buffer
	switch coding {
	case "gzip":
		z := gzip.NewWriter(&b)
		z.Write(plain)
		z.Close()
	case "zstd":
		z, _ := zstd.NewWriter(&b)
		z.Write(plain)
		z.Close()
	default:
		return plain
	}
	return b.Bytes()
}

func headersOf(form, coding string, length int) http.Header {
	h := http.Header{"Content-Type": {forms[form].contentType}, "Content-Length": {strconv.Itoa(length)}}
	if coding != "" {
		h.Set("Content-Encoding", coding)
	}
	return h
}

// cpu is the process's processor time, in all threads.
func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func perRow(b *testing.B, rows int, began time.Duration) {
	b.ReportMetric(float64(b.N)*float64(rows)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(cpu()-began)/float64(b.N)/float64(rows), "cpu-ns/row")
}

// BenchmarkIngest reads a push from memory: text to keyed deltas.
func BenchmarkIngest(b *testing.B) {
	w := &writer{secret: &issuer.Secret{Seed: cache.NewSeed()}}
	for _, form := range []string{"full", "short", "loose", "csv"} {
		for _, coding := range []string{"", "gzip", "zstd"} {
			if coding != "" && form != "full" {
				continue
			}
			for _, rows := range []int{1, 1_000_000} {
				b.Run(fmt.Sprintf("%s%s/%d", form, coding, rows), func(b *testing.B) {
					body := packed(coding, bodyOf(form, rows))
					header := headersOf(form, coding, len(body))
					b.ReportAllocs()
					began := cpu()
					for b.Loop() {
						deltas, problem := readDeltas(w, bytes.NewReader(body), header, anyNumber)
						if problem != nil || len(deltas) != rows {
							b.Fatal(problem, len(deltas))
						}
					}
					perRow(b, rows, began)
				})
			}
		}
	}
}

// BenchmarkIngestHTTP is BenchmarkIngest through a server of its own, the client's work included; "discard" reads the body alone.
func BenchmarkIngestHTTP(b *testing.B) {
	w := &writer{secret: &issuer.Secret{Seed: cache.NewSeed()}}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/discard" {
			io.CopyBuffer(struct{ io.Writer }{io.Discard}, steady(rw, req, new(place)), make([]byte, 64<<10))
			return
		}
		if deltas, problem := readDeltas(w, steady(rw, req, new(place)), req.Header, anyNumber); problem != nil || len(deltas) == 0 {
			http.Error(rw, "refused", 400)
		}
	}))
	defer server.Close()
	for _, path := range []string{"/discard", "/ingest"} {
		for _, coding := range []string{"", "gzip", "zstd"} {
			if coding != "" && path == "/discard" {
				continue
			}
			for _, rows := range []int{1, 1_000_000} {
				b.Run(fmt.Sprintf("%s/%s/%d", path[1:], coding, rows), func(b *testing.B) {
					body := packed(coding, bodyOf("full", rows))
					header := headersOf("full", coding, len(body))
					b.ReportAllocs()
					began := cpu()
					for b.Loop() {
						req, _ := http.NewRequest("POST", server.URL+path, bytes.NewReader(body))
						req.Header = header.Clone()
						res, err := http.DefaultClient.Do(req)
						if err != nil || res.StatusCode != 200 {
							b.Fatal(err, res)
						}
						io.Copy(io.Discard, res.Body)
						res.Body.Close()
					}
					perRow(b, rows, began)
				})
			}
		}
	}
}
