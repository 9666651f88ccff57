package day

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/scanedge/scanedge/bench/load"
	"github.com/scanedge/scanedge/edge/passcode"
)

// What visits are, in percent of all; the rest are uploads.
const (
	knownShare     = 85
	unknownShare   = 5
	malformedShare = 5
)

// UploadCodes is how many codes an upload has.
const UploadCodes = 20

// Script makes the visits of a day and judges their answers. Visit i follows from the seed and i alone, and so does what
// its answer must be: nothing is kept of a visit while it is under way. Safe for use by many goroutines.
type Script struct {
	seed       uint64
	edges      []load.Edge
	population Population
	badPaths   [][]string // by issuer
	badLines   [][]string

	mix   *mix             // what a scenario asks; nil: the simple mix
	first uint64           // which number in the scenario's day visit 0 has
	now   func() time.Time // by which rolling codes are made
}

// NewScript makes the day of a seed for a fleet with these edges and subjects.
func NewScript(seed uint64, edges []load.Edge, population Population) *Script {
	s := &Script{seed: seed, edges: edges, population: population, now: time.Now}
	for _, issuer := range population.Issuers {
		s.badPaths = append(s.badPaths, badPaths(issuer))
		s.badLines = append(s.badLines, badLines(issuer))
	}
	return s
}

// question is a code and what an edge must say of it.
type question struct {
	code string // as it is sent: percent-encoded in a path, raw in an upload
	want want

	key             *passcode.Key // of a rolling code, which has no other text than that of its time
	steps           int           // after the present
	issuer, subject string
}

// visit is what a number stands for.
type visit struct {
	edge   int
	upload bool
	asks   []question // one, or UploadCodes of an upload
	eol    string     // of an upload's lines
	op     Operation
	holder bool   // no scanner key goes with it
	weight uint32 // visits that it stands for
}

// Visit returns what visit i sends.
func (s *Script) Visit(i uint64) load.Visit {
	v, now := s.at(i), s.now()
	out := load.Visit{Edge: v.edge, Method: http.MethodGet, Op: int(v.op), Weight: v.weight}
	if v.holder {
		out.Key = noKey
	}
	if !v.upload {
		out.Path = "/v1/scan/" + v.asks[0].text(now)
		return out
	}
	var body strings.Builder
	for _, q := range v.asks {
		body.WriteString(q.text(now))
		body.WriteString(v.eol)
	}
	out.Method, out.Path, out.Body = http.MethodPost, "/v1/scan", body.String()
	return out
}

// noKey is how a visit says that it carries no scanner key.
const noKey = "-"

func (s *Script) at(i uint64) visit {
	if s.mix != nil {
		return s.mixed(i, s.first+i)
	}
	return s.simple(i)
}

// simple is visit i where no scenario says otherwise.
func (s *Script) simple(i uint64) visit {
	d := throw(s.seed, i)
	v := visit{edge: int(d.below(uint64(len(s.edges)))), op: Plain, weight: 1}
	switch kind := d.below(100); {
	case kind < knownShare:
		v.asks = []question{s.known(d, pick(d, colons))}
	case kind < knownShare+unknownShare:
		v.op, v.asks = Unknown, []question{s.unknown(d, fmt.Sprint(i))}
	case kind < knownShare+unknownShare+malformedShare:
		v.op, v.asks = Malformed, []question{{code: pick(d, pick(d, s.badPaths)), want: malformedCode}}
	default:
		v.op, v.upload, v.eol = Uploaded, true, pick(d, lineEnds)
		v.asks = make([]question, UploadCodes)
		for k := range v.asks {
			v.asks[k] = s.line(d, fmt.Sprintf("%d-%d", i, k))
		}
	}
	return v
}

// What a scanner may write in either way: the colon in a path, and the end of a line.
var (
	colons   = []string{":", ":", ":", "%3A"}
	lineEnds = []string{"\n", "\r\n"}
)

// line is one code of an upload, in the same proportions as the visits that have one code.
func (s *Script) line(d *dice, name string) question {
	switch kind := d.below(knownShare + unknownShare + malformedShare); {
	case kind < knownShare:
		return s.known(d, ":")
	case kind < knownShare+unknownShare:
		return s.unknown(d, name)
	default:
		return question{code: pick(d, pick(d, s.badLines)), want: malformedCode}
	}
}

func (s *Script) known(d *dice, colon string) question {
	k, number := s.population.At(d.below(s.population.Subjects))
	issuer := s.population.Issuers[k]
	return question{code: issuer + colon + Name(number), want: want{issuer: issuer, status: StatusOf(number)}}
}

// unknown asks for a subject that only this run could have made, and does not.
func (s *Script) unknown(d *dice, name string) question {
	return question{code: pick(d, s.population.Issuers) + ":" + s.run() + "-u" + name, want: unknownSubject}
}

// run is how every subject of this day begins, other than the demo population.
func (s *Script) run() string { return runName(s.seed) }

func runName(seed uint64) string { return fmt.Sprintf("day-%d", seed) }
