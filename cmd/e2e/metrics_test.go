package e2e

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// docs/metrics.md lists what edge and origin measure: running ones show that, and nothing else of scanedge's own. A name with † may be absent.
func TestMetricsAreWhatTheDocumentSays(t *testing.T) {
	f, _ := startFleet(t, 200)
	up := f.Up()
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(text), "\n## ") // the introduction, edge, origin, both
	if len(parts) != 4 {
		t.Fatalf("%d parts", len(parts))
	}
	for i, admin := range []string{up.Edges[0].Admin, up.OriginAdmin} {
		shown, listed := shownMetrics(t, admin), listedMetrics(parts[1+i]+parts[3])
		for name, m := range shown {
			if strings.HasPrefix(name, "scanedge_") && listed[name] == (listing{}) {
				t.Errorf("%s: %s %v is in no table", admin, name, m)
			}
		}
		for name, l := range listed {
			if m, ok := shown[name]; ok && m != l.measure || !ok && !l.later {
				t.Errorf("%s: %s is shown: %v, as %v; the table says %v", admin, name, ok, m, l.measure)
			}
		}
	}
}

// listing is a row of a table of metrics.
type listing struct {
	measure
	later bool
}

func listedMetrics(text string) map[string]listing {
	all := map[string]listing{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)`( †)? \\| ([a-z]+) \\|([^|]*)\\|").FindAllStringSubmatch(text, -1) {
		all[row[1]] = listing{measure{row[3], strings.TrimSpace(strings.ReplaceAll(row[4], "`", ""))}, row[2] != ""}
	}
	return all
}

// measure is a metric: what kind it is, and its labels' names, in order.
type measure struct{ kind, labels string }

var sample = regexp.MustCompile(`^([a-z_][a-z0-9_]*)(?:\{(.*)\})? \S+$`)

// shownMetrics are those that a process shows, by name, a histogram's without what its parts are called by.
func shownMetrics(t *testing.T, admin string) map[string]measure {
	t.Helper()
	resp, err := http.Get(admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]measure{}
	for line := range strings.Lines(string(text)) {
		m := sample.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			t.Fatalf("%s: no metric: %s", admin, line)
		}
		name, kind := m[1], "gauge"
		var labels []string
		for _, l := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(m[2], -1) {
			labels = append(labels, l[1])
		}
		base := strings.TrimSuffix(strings.TrimSuffix(name, "_sum"), "_count")
		switch bucket, ok := strings.CutSuffix(name, "_bucket"); {
		case ok:
			name, kind = bucket, "histogram"
			labels = slices.DeleteFunc(labels, func(l string) bool { return l == "le" })
		case base != name && all[base].kind == "histogram":
			continue // its buckets come first
		case strings.HasSuffix(name, "_total"):
			kind = "counter"
		}
		all[name] = measure{kind, strings.Join(labels, ", ")}
	}
	return all
}
