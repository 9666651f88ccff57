package fleet

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Metrics is what a process counts: a value by the full name of its series, labels as they were written, such as
// `scanedge_offset{issuer="demo-a"}`.
type Metrics map[string]float64

// local is the client for processes on this machine: no proxy, and no connection that outlives its request.
var local = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// ReadMetrics asks the admin listener at that base URL for its metrics.
func ReadMetrics(ctx context.Context, adminURL string) (Metrics, error) {
	body, err := get(ctx, adminURL+"/metrics")
	if err != nil {
		return nil, err
	}
	defer body.Close()
	m, err := parseMetrics(body)
	if err != nil {
		return nil, fmt.Errorf("%s/metrics: %w", adminURL, err)
	}
	return m, nil
}

// Sum adds up all series of a family: Sum("scanedge_scans_total") counts the scans of every issuer and outcome.
func (m Metrics) Sum(family string) float64 {
	var sum float64
	for name, v := range m {
		if rest, ok := strings.CutPrefix(name, family); ok && (rest == "" || rest[0] == '{') {
			sum += v
		}
	}
	return sum
}

// Issuer returns the series of a family that has the issuer as its one label.
func (m Metrics) Issuer(family, issuer string) (float64, bool) {
	v, ok := m[family+`{issuer="`+issuer+`"}`]
	return v, ok
}

// parseMetrics reads the Prometheus text format: a series, a value and perhaps a timestamp a line; # begins a comment.
func parseMetrics(r io.Reader) (Metrics, error) {
	m := Metrics{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		end := seriesEnd(line)
		fields := strings.Fields(line[end:])
		if end == 0 || len(fields) < 1 || len(fields) > 2 {
			return nil, fmt.Errorf("line %d is no metric: %q", n, line)
		}
		v, err := strconv.ParseFloat(fields[0], 64)
		if err != nil {
			return nil, fmt.Errorf("line %d has no number for a value: %q", n, line)
		}
		m[line[:end]] = v
	}
	return m, lines.Err()
}

// seriesEnd returns where the series' name ends: at a space outside the labels, or after them. Label values are quoted, and
// may hold spaces, braces and escaped quotes.
func seriesEnd(line string) int {
	quoted, labels := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			labels = true
		case c == '}':
			return i + 1
		case !labels && (c == ' ' || c == '\t'):
			return i
		}
	}
	return len(line)
}

// get asks for a URL; an answer other than 200 is an error that quotes it.
func get(ctx context.Context, url string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := local.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	return nil, refused(url, resp)
}

// refused quotes an answer that is not 200.
func refused(url string, resp *http.Response) error {
	b, err := io.ReadAll(io.LimitReader(resp.Body, 500))
	if err != nil {
		return err
	}
	return fmt.Errorf("%s answers %s: %s", url, resp.Status, strings.TrimSpace(string(b)))
}
