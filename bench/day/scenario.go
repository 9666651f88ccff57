package day

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/scanedge/scanedge/bench/load"
)

// Scenario says what a day is: when visits come, and what they ask. Its file is YAML; scenarios/launch-day.yaml has every field
// and what it means.
type Scenario struct {
	Name  string // of the file, without what follows the dot
	About string
	Curve Curve
	// Shares are how much of the visits each operation has, in percent. They add up to 100, and uploads are at most 10: more of them
	// would make a load of fewer requests than a day has.
	Shares      [operations]float64
	UploadCodes int     // 1 to 10,000
	Skew        float64 // over 0: the smaller, the more do some visit more than others
	Growth      float64 // subjects that are registered over the run, in percent of the fleet's
	Changes     float64 // status changes a second

	Connections [connectionKinds]float64 // how much of the requests each kind takes, in percent; they add up to 100
	Sources     int                      // loopback addresses that load comes from; 0: the system's choice
	SLOs        SLOs
}

// connectionKinds is how many there are.
const connectionKinds = int(load.NewTLS) + 1

// maxSources is the most loopback addresses that load comes from.
const maxSources = 4096

// SLOs are what a fleet is held to while a scenario is played; what is measured must be under each.
type SLOs struct {
	Errors        float64 `yaml:"errors"`                 // share of the visits sent that may fail or be refused
	P99           float64 `yaml:"p99_ms"`                 // from the scheduled time to the answer, in milliseconds
	P999          float64 `yaml:"p999_ms"`                // the same
	PushToVisible float64 `yaml:"push_to_visible_p99_ms"` // from a push's start until the last edge shows it
}

// defaultSLOs hold where a scenario says nothing else.
var defaultSLOs = SLOs{Errors: 1e-6, P99: 50, P999: 250, PushToVisible: 1000}

// Operation is what a visit asks.
type Operation int

// The operations, in the words of a scenario's shares.
const (
	Own        Operation = iota // the holder's own rolling code, without a scanner key
	Plain                       // a checkpoint scans a plain code
	Rolling                     // a checkpoint scans a rolling code
	Uploaded                    // a gate hands in many codes in one request, each of them a visit
	Contacts                    // a trip's own row or carriage and those beside it, in one request
	Registered                  // a subject that was registered while the run went on
	Changed                     // a subject whose status changes all along
	Foreign                     // a visitor whose issuer the fleet does not hold
	Unknown                     // a subject that nobody registered
	Forged                      // a rolling code of another key
	Expired                     // a rolling code whose time is over
	Malformed                   // what is no code
	Repeat                      // the question before once more, at once
	operations = iota
)

var operationNames = [operations]string{"own", "plain", "rolling", "upload", "contacts", "registered", "changed", "foreign",
	"unknown", "forged", "expired", "malformed", "repeat"}

// String is the operation's word in a scenario.
func (o Operation) String() string { return operationNames[o] }

//go:embed scenarios/*.yaml
var builtIn embed.FS

// Scenarios are the names of those that are built in.
func Scenarios() []string {
	files, _ := fs.Glob(builtIn, "scenarios/*.yaml") // the pattern is good
	for k, f := range files {
		files[k] = strings.TrimSuffix(strings.TrimPrefix(f, "scenarios/"), ".yaml")
	}
	return files
}

// LoadScenario reads the scenario of that name or, where none is built in that has it, in that file. An error says what is wrong with
// it and in which line.
func LoadScenario(nameOrFile string) (*Scenario, error) {
	if slices.Contains(Scenarios(), nameOrFile) {
		b, err := builtIn.ReadFile("scenarios/" + nameOrFile + ".yaml")
		if err != nil {
			return nil, err
		}
		return ParseScenario(nameOrFile, b)
	}
	b, err := os.ReadFile(nameOrFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no scenario and no file %s; scenarios are %s", nameOrFile, strings.Join(Scenarios(), ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("reading a scenario: %w", err)
	}
	return ParseScenario(nameOrFile, b)
}

// scenarioFile is a scenario as it is written.
type scenarioFile struct {
	About       string             `yaml:"about"`
	Curve       []pointLine        `yaml:"curve"`
	Spikes      []spikeLine        `yaml:"spikes"`
	Shares      map[string]float64 `yaml:"shares"`
	UploadCodes int                `yaml:"upload_codes"`
	Skew        float64            `yaml:"skew"`
	Growth      float64            `yaml:"growth"`
	Changes     float64            `yaml:"changes"`
	Connections map[string]float64 `yaml:"connections"`
	Sources     int                `yaml:"sources"`
	SLOs        SLOs               `yaml:"slos"`
}

type pointLine struct {
	At   clock   `yaml:"at"`
	Rate float64 `yaml:"rate"`
}

type spikeLine struct {
	At    clock         `yaml:"at"`
	Times float64       `yaml:"times"`
	Rise  time.Duration `yaml:"rise"`
	Hold  time.Duration `yaml:"hold"`
	Fall  time.Duration `yaml:"fall"`
}

// clock is a time of the day, "07:30".
type clock time.Duration

// UnmarshalYAML reads hours and minutes.
func (c *clock) UnmarshalYAML(n *yaml.Node) error {
	t, err := time.Parse("15:04", n.Value)
	if err != nil {
		return fmt.Errorf("line %d: %q is no time of the day such as \"07:30\"", n.Line, n.Value)
	}
	*c = clock(time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute)
	return nil
}

// ParseScenario reads a scenario's file of that name.
func ParseScenario(name string, b []byte) (*Scenario, error) {
	var tree yaml.Node
	f := scenarioFile{UploadCodes: 100, Skew: 0.05, SLOs: defaultSLOs}
	decoder := yaml.NewDecoder(bytes.NewReader(b))
	decoder.KnownFields(true)
	err := decoder.Decode(&f)
	if err == nil {
		err = yaml.Unmarshal(b, &tree)
	}
	if err != nil {
		return nil, fmt.Errorf("scenario %s: %s", name, inWords(err))
	}
	s := f.scenario()
	s.Name = strings.TrimSuffix(name[strings.LastIndexByte(name, '/')+1:], ".yaml")
	if where, why := f.fault(); why != "" {
		return nil, fmt.Errorf("scenario %s: line %d: %s", name, lineOf(&tree, where...), why)
	}
	return s, nil
}

// inWords takes yaml's own types out of what it says.
func inWords(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n  ")
	for _, own := range []string{"day.scenarioFile", "day.pointLine", "day.spikeLine", "day.SLOs"} {
		text = strings.ReplaceAll(text, "not found in type "+own, "is none that there is here")
	}
	return strings.ReplaceAll(text, "\n  ", "; ")
}

func (f *scenarioFile) scenario() *Scenario {
	s := &Scenario{About: f.About, UploadCodes: f.UploadCodes, Skew: f.Skew, Growth: f.Growth, Changes: f.Changes, Sources: f.Sources, SLOs: f.SLOs}
	for _, p := range f.Curve {
		s.Curve.Points = append(s.Curve.Points, Point{time.Duration(p.At), p.Rate})
	}
	for _, p := range f.Spikes {
		s.Curve.Spikes = append(s.Curve.Spikes, Spike{time.Duration(p.At), p.Times, p.Rise, p.Hold, p.Fall})
	}
	for op, name := range operationNames {
		s.Shares[op] = f.Shares[name]
	}
	for k, name := range connectionNames() {
		s.Connections[k] = f.Connections[name]
	}
	if f.Connections == nil {
		s.Connections[load.Kept] = 100
	}
	return s
}

// maxUpload is the most of the visits that uploads may be, in percent.
const maxUpload = 10

// fault returns what is wrong with the file, and the path to it: keys, and places in lists.
func (f *scenarioFile) fault() (where []any, why string) {
	for _, check := range []func() ([]any, string){f.faultOfCurve, f.faultOfSpikes, f.faultOfShares, f.faultOfConnections,
		f.faultOfSLOs} {
		if where, why = check(); why != "" {
			return where, why
		}
	}
	switch {
	case f.UploadCodes < 1 || f.UploadCodes > 10_000:
		return []any{"upload_codes"}, fmt.Sprintf("upload_codes is %d; an edge takes 1 to 10000 in a request", f.UploadCodes)
	case !(f.Skew > 0 && f.Skew <= 1e6):
		return []any{"skew"}, fmt.Sprintf("skew is %v; it must be over 0, and 1000000 at most", f.Skew)
	case !(f.Growth >= 0 && f.Growth <= 100):
		return []any{"growth"}, fmt.Sprintf("growth is %v; it is percent, 0 to 100", f.Growth)
	case !(f.Changes >= 0 && f.Changes <= 10_000):
		return []any{"changes"}, fmt.Sprintf("changes is %v a second; it must be 0 to 10000", f.Changes)
	case f.Sources < 0 || f.Sources > maxSources:
		return []any{"sources"}, fmt.Sprintf("sources is %d; it must be 0 to %d", f.Sources, maxSources)
	case f.Shares["registered"] > 0 && f.Growth == 0:
		return []any{"shares", "registered"}, "visits ask for registered subjects, but growth is 0, so none is registered"
	case f.Shares["changed"] > 0 && f.Changes == 0:
		return []any{"shares", "changed"}, "visits ask for changed subjects, but changes is 0, so none changes"
	}
	return nil, ""
}

// maxRate bounds what rates are relative to each other, so that their sum over a day is a number.
const maxRate = 1_000_000

func (f *scenarioFile) faultOfCurve() (where []any, why string) {
	busy := false
	for k, p := range f.Curve {
		if !(p.Rate >= 0 && p.Rate <= maxRate) {
			return []any{"curve", k}, fmt.Sprintf("a rate is %v; it must be 0 to %d", p.Rate, maxRate)
		}
		if k > 0 && p.At <= f.Curve[k-1].At {
			return []any{"curve", k}, "a point is not later than the one before it"
		}
		busy = busy || p.Rate > 0
	}
	if !busy {
		return []any{"curve"}, "the curve has no point with a rate over 0"
	}
	return nil, ""
}

func (f *scenarioFile) faultOfSpikes() (where []any, why string) {
	for k, s := range f.Spikes {
		switch end := time.Duration(s.At) + s.Rise + s.Hold + s.Fall; {
		case !(s.Times >= 1 && s.Times <= maxRate):
			return []any{"spikes", k}, fmt.Sprintf("times is %v; it must be 1 to %d", s.Times, maxRate)
		case s.Rise < 0 || s.Hold < 0 || s.Fall < 0:
			return []any{"spikes", k}, "rise, hold and fall must not be below 0"
		case max(s.Rise, s.Hold, s.Fall) > Day || end > Day: // the sum may have overflowed
			return []any{"spikes", k}, "the spike does not end before midnight"
		}
	}
	return nil, ""
}

func (f *scenarioFile) faultOfShares() (where []any, why string) {
	if where, why = faultOfParts("shares", "operation", operationNames[:], f.Shares); why != "" {
		return where, why
	}
	if up := f.Shares["upload"]; up > maxUpload {
		return []any{"shares", "upload"}, fmt.Sprintf("uploads are %v percent of the visits; %d is the most, or the load has too few requests",
			up, maxUpload)
	}
	return nil, ""
}

func (f *scenarioFile) faultOfConnections() (where []any, why string) {
	if f.Connections == nil {
		return nil, ""
	}
	return faultOfParts("connections", "kind of connection", connectionNames(), f.Connections)
}

// connectionNames are the words of the kinds of connections.
func connectionNames() (names []string) {
	for k := range connectionKinds {
		names = append(names, load.Kind(k).String())
	}
	return names
}

// faultOfParts returns what is wrong with percentages of a whole, each of which has a name.
func faultOfParts(field, what string, names []string, parts map[string]float64) (where []any, why string) {
	sum := 0.0
	for name, share := range parts {
		if !slices.Contains(names, name) {
			return []any{field, name}, fmt.Sprintf("there is no %s %s; they are %s", what, name, strings.Join(names, ", "))
		}
		if !(share >= 0) {
			return []any{field, name}, fmt.Sprintf("the share of %s is %v; it must be 0 or more", name, share)
		}
		sum += share
	}
	if math.Abs(sum-100) > 1e-6 {
		return []any{field}, fmt.Sprintf("the %s add up to %.6g, not to 100", field, sum)
	}
	return nil, ""
}

func (f *scenarioFile) faultOfSLOs() (where []any, why string) {
	if e := f.SLOs.Errors; !(e > 0 && e <= 1) {
		return []any{"slos", "errors"}, fmt.Sprintf("errors is %v; it is a share that what fails must be under: over 0, and 1 at most", e)
	}
	for _, slo := range []struct {
		name string
		ms   float64
	}{{"p99_ms", f.SLOs.P99}, {"p999_ms", f.SLOs.P999}, {"push_to_visible_p99_ms", f.SLOs.PushToVisible}} {
		if !(slo.ms > 0) || math.IsInf(slo.ms, 0) {
			return []any{"slos", slo.name}, fmt.Sprintf("%s is %v; it is milliseconds, over 0", slo.name, slo.ms)
		}
	}
	return nil, ""
}

// lineOf returns the line of what lies at a path in a document, or of as much of the path as there is.
func lineOf(n *yaml.Node, path ...any) int {
	if n.Kind == yaml.DocumentNode && len(n.Content) > 0 {
		n = n.Content[0]
	}
	line := n.Line
	for _, step := range path {
		var next *yaml.Node
		for k := 0; k < len(n.Content); k++ {
			switch {
			case n.Kind == yaml.MappingNode && k%2 == 0 && n.Content[k].Value == step:
				next, line = n.Content[k+1], n.Content[k].Line
			case n.Kind == yaml.SequenceNode && k == step:
				next, line = n.Content[k], n.Content[k].Line
			}
		}
		if next == nil {
			break
		}
		n = next
	}
	return cmp.Or(line, 1)
}

// Words say what the visits are and how they come, "71 % own, 6 % plain, …; 25 % of the requests pipelined, …".
func (s *Scenario) Words() string {
	return fmt.Sprintf("%s; of the requests %s", parts(s.Shares[:], operationNames[:]), parts(s.Connections[:], connectionNames()))
}

// parts names those of a whole that are not zero.
func parts(shares []float64, names []string) string {
	var words []string
	for k, share := range shares {
		if share > 0 {
			words = append(words, fmt.Sprintf("%v %% %s", share, names[k]))
		}
	}
	return strings.Join(words, ", ")
}
