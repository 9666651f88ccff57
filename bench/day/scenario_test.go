package day

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scanedge/scanedge/bench/load"
)

// What is built in can be played, and the day has the shape of a city's busiest: WorldCup98's had its peak minute at 4.1 to 5.2 times the mean.
func TestBuiltInScenarios(t *testing.T) {
	if got := Scenarios(); !slices.Equal(got, []string{"gateway", "launch-day", "morning", "retry-storm", "spike"}) {
		t.Errorf("built in are %q", got)
	}
	for _, name := range Scenarios() {
		s, err := LoadScenario(name)
		if err != nil {
			t.Fatal(err)
		}
		if s.Name != name || s.About == "" || s.UploadCodes != 100 || s.Sources != 64 || s.SLOs != defaultSLOs {
			t.Errorf("%s is %+v", name, s)
		}
		connections := [connectionKinds]float64{load.Pipelined: 25, load.Kept: 73, load.New: 1.8, load.NewTLS: 0.2}
		if name == "gateway" {
			connections = [connectionKinds]float64{load.Pipelined: 95, load.Kept: 4.9, load.New: 0.09, load.NewTLS: 0.01}
		}
		if s.Connections != connections {
			t.Errorf("the connections of %s are %v", name, s.Connections)
		}
	}
	s, err := LoadScenario("launch-day")
	if err != nil {
		t.Fatal(err)
	}
	minute, hour := peaks(Curve{Points: s.Curve.Points})
	if minute < 4.1 || minute > 5.2 || hour/24 < 0.14 || hour/24 > 0.16 {
		t.Errorf("without the spike the peak minute is %.2f times the mean, the peak hour %.3f of the day", minute, hour/24)
	}
	if s.Shares[Own] != 71 || s.Shares[Uploaded] > 10 {
		t.Errorf("shares are %v", s.Shares)
	}
	// 170 million visits of which the crowd is as that of 2022: 23,000 a second.
	a := NewArrivals(1, s.Curve, 170_000_000, Day)
	if rate := a.Rate(15*time.Hour + 3*time.Minute); rate < 22_500 || rate > 24_000 {
		t.Errorf("the spike is of %.0f/s", rate)
	}
}

// peaks are the busiest minute and hour of a curve, over its mean.
func peaks(c Curve) (minute, hour float64) {
	mass := c.mass()
	sum := func(of []float64) (s float64) {
		for _, m := range of {
			s += m
		}
		return s
	}
	mean := sum(mass) / float64(len(mass))
	for s := 0; s+3600 <= len(mass); s += 60 {
		minute = max(minute, sum(mass[s:s+60])/60/mean)
		hour = max(hour, sum(mass[s:s+3600])/3600/mean)
	}
	return minute, hour
}

const small = `about: small
curve:
  - {at: "00:00", rate: 1}
  - {at: "12:30", rate: 2}
spikes:
  - {at: "23:00", times: 2, rise: 1m, hold: 1m, fall: 1m}
shares:
  own: 90
  upload: 10
upload_codes: 7
`

func TestParseScenario(t *testing.T) {
	s, err := ParseScenario("some/where/small.yaml", []byte(small))
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != "small" || s.About != "small" || s.Curve.Points[1] != (Point{12*time.Hour + 30*time.Minute, 2}) || s.Shares[Own] != 90 ||
		s.Curve.Spikes[0] != (Spike{23 * time.Hour, 2, time.Minute, time.Minute, time.Minute}) || s.UploadCodes != 7 || s.Skew != 0.05 {
		t.Errorf("read %+v", s)
	}
}

func TestConnectionsAndSLOs(t *testing.T) {
	s, err := ParseScenario("x", []byte(small))
	if err != nil {
		t.Fatal(err)
	}
	if s.Connections != [connectionKinds]float64{load.Kept: 100} || s.Sources != 0 || s.SLOs != (SLOs{1e-6, 50, 250, 1000}) {
		t.Errorf("by default %+v", s)
	}
	s, err = ParseScenario("x", []byte(small+"connections: {new: 60, pipelined: 40}\nsources: 4096\nslos: {p99_ms: 20, errors: 1}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Sources != 4096 || s.SLOs != (SLOs{1, 20, 250, 1000}) || s.Words() != "90 % own, 10 % upload; of the requests 40 % pipelined, 60 % new" {
		t.Errorf("read %+v: %s", s, s.Words())
	}
}

// Each of these makes the small scenario one that can't be played, and the error names the line.
func TestScenarioFaults(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"own: 90", "own: 89", "line 7: the shares add up to 99, not to 100"},
		{"own: 90", "own: -90", "line 8: the share of own is -90"},
		{"own: 90", "own: .nan", "line 8: the share of own is NaN"},
		{"own: 90", "owl: 90", "line 8: there is no operation owl; they are own, plain"},
		{"own: 90\n  upload: 10", "own: 89\n  upload: 11", "line 9: uploads are 11 percent"},
		{"rate: 2", "rate: -2", "line 4: a rate is -2"},
		{"rate: 1}\n  - {at: \"12:30\", rate: 2}", "rate: 0}", "line 2: the curve has no point"},
		{`"12:30"`, `"00:00"`, "line 4: a point is not later"},
		{`"12:30"`, `"25:00"`, `line 4: "25:00" is no time of the day`},
		{"times: 2", "times: 0.5", "line 6: times is 0.5"},
		{"hold: 1m", "hold: 1h", "line 6: the spike does not end before midnight"},
		{"hold: 1m", "hold: 2562047h46m", "line 6: the spike does not end before midnight"}, // which overflows with what is added
		{"times: 2", "times: 1e300", "line 6: times is 1e+300"},
		{"rate: 2", "rate: 1e300", "line 4: a rate is 1e+300"},
		{"hold: 1m", "hold: -1m", "line 6: rise, hold and fall"},
		{"hold: 1m", "hold: soon", "line 6: cannot unmarshal"},
		{"upload_codes: 7", "upload_codes: 0", "line 10: upload_codes is 0"},
		{"upload_codes: 7", "upload_code: 7", "line 10: field upload_code is none that there is here"},
		{"upload_codes: 7", "upload_codes: 7\nskew: 0", "line 11: skew is 0"},
		{"upload_codes: 7", "upload_codes: 7\ngrowth: -1", "line 11: growth is -1"},
		{"upload_codes: 7", "upload_codes: 7\nchanges: -1", "line 11: changes is -1"},
		{"own: 90", "own: 80\n  registered: 10", "line 9: visits ask for registered"},
		{"own: 90", "own: 80\n  changed: 10", "line 9: visits ask for changed"},
		{"upload_codes: 7", "connections:\n  kept: 99", "line 10: the connections add up to 99, not to 100"},
		{"upload_codes: 7", "connections:\n  kept: 99\n  held: 1", "line 12: there is no kind of connection held; they are pipelined, kept, new, new_tls"},
		{"upload_codes: 7", "connections:\n  kept: 101\n  new: -1", "line 12: the share of new is -1"},
		{"upload_codes: 7", "connections: {}", "line 10: the connections add up to 0"},
		{"upload_codes: 7", "sources: 4097", "line 10: sources is 4097; it must be 0 to 4096"},
		{"upload_codes: 7", "sources: -1", "line 10: sources is -1"},
		{"upload_codes: 7", "slos:\n  p99_ms: 1\n  errors: 0", "line 12: errors is 0"},
		{"upload_codes: 7", "slos:\n  errors: 1.1", "line 11: errors is 1.1"},
		{"upload_codes: 7", "slos:\n  p99_ms: 0", "line 11: p99_ms is 0"},
		{"upload_codes: 7", "slos:\n  p999_ms: .inf", "line 11: p999_ms is +Inf"},
		{"upload_codes: 7", "slos:\n  push_to_visible_p99_ms: .nan", "line 11: push_to_visible_p99_ms is NaN"},
		{"upload_codes: 7", "slos:\n  p50_ms: 1", "line 11: field p50_ms is none that there is here"},
		{"rate: 2", "speed: 2", "line 4: field speed is none"},
		{"about: small", "about: [", "line "},
		{small, "", "EOF"},
	} {
		file := strings.Replace(small, c.from, c.to, 1)
		if _, err := ParseScenario("x", []byte(file)); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "day.") {
			t.Errorf("%q for %q: %v, want %q", c.to, c.from, err, c.want)
		}
	}
}

func TestLoadScenario(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mine.yaml")
	if err := os.WriteFile(path, []byte(small), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := LoadScenario(path); err != nil || s.Name != "mine" {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := LoadScenario("noon"); err == nil || !strings.Contains(err.Error(), "no scenario and no file noon; scenarios are gateway, ") {
		t.Errorf("%v", err)
	}
}

// What is taken for a scenario can be played: its shares and connections are all of it, and its curve is a finite day of visits.
func FuzzParseScenario(f *testing.F) {
	f.Add([]byte(small)) // what is built in is so long that the fuzzer would spend its time on making it shorter
	f.Add([]byte("curve: [{at: \"00:00\", rate: 1e300}, {at: \"12:00\", rate: .inf}]\nshares: {own: 100}\n"))
	f.Add([]byte("curve: [{at: \"23:59\", rate: 1}]\nspikes: [{at: \"00:00\", times: 1, rise: 24h}]\nshares: {own: 90, upload: 10}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseScenario("fuzzed", b)
		if err != nil {
			return
		}
		sum := 0.0
		for t := range 24 * 4 { // the whole of it takes a fuzzer too long
			sum += s.Curve.at(time.Duration(t) * 15 * time.Minute)
		}
		shares, connections := 0.0, 0.0
		for _, share := range s.Shares {
			shares += share
		}
		for _, share := range s.Connections {
			connections += share
		}
		if !(sum >= 0) || math.IsInf(sum, 0) || math.Abs(shares-100) > 1e-3 || math.Abs(connections-100) > 1e-3 {
			t.Errorf("a day of %v, shares %v, connections %v", sum, shares, connections)
		}
		requests, uploads := s.Requests(1_000_000)
		if requests < uploads || requests > 1_000_000 {
			t.Errorf("%d requests, %d uploads", requests, uploads)
		}
	})
}
