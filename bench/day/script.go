package day

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/scanedge/scanedge/bench/load"
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
}

// NewScript makes the day of a seed for a fleet with these edges and subjects.
func NewScript(seed uint64, edges []load.Edge, population Population) *Script {
	s := &Script{seed: seed, edges: edges, population: population}
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
}

// visit is what a number stands for.
type visit struct {
	edge   int
	upload bool
	asks   []question // one, or UploadCodes of an upload
	eol    string     // of an upload's lines
}

// Visit returns what visit i sends.
func (s *Script) Visit(i uint64) load.Visit {
	v := s.at(i)
	if !v.upload {
		return load.Visit{Edge: v.edge, Method: http.MethodGet, Path: "/v1/scan/" + v.asks[0].code}
	}
	var body strings.Builder
	for _, q := range v.asks {
		body.WriteString(q.code)
		body.WriteString(v.eol)
	}
	return load.Visit{Edge: v.edge, Method: http.MethodPost, Path: "/v1/scan", Body: body.String()}
}

func (s *Script) at(i uint64) visit {
	d := throw(s.seed, i)
	v := visit{edge: int(d.below(uint64(len(s.edges))))}
	switch kind := d.below(100); {
	case kind < knownShare:
		v.asks = []question{s.known(d, pick(d, colons))}
	case kind < knownShare+unknownShare:
		v.asks = []question{s.unknown(d, fmt.Sprint(i))}
	case kind < knownShare+unknownShare+malformedShare:
		v.asks = []question{{pick(d, pick(d, s.badPaths)), malformedCode}}
	default:
		v.upload, v.eol = true, pick(d, lineEnds)
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
		return question{pick(d, pick(d, s.badLines)), malformedCode}
	}
}

func (s *Script) known(d *dice, colon string) question {
	k, number := s.population.At(d.below(s.population.Subjects))
	issuer := s.population.Issuers[k]
	return question{issuer + colon + Name(number), want{issuer: issuer, status: StatusOf(number)}}
}

// unknown asks for a subject that only this run could have made, and does not.
func (s *Script) unknown(d *dice, name string) question {
	return question{pick(d, s.population.Issuers) + ":" + s.run() + "-u" + name, unknownSubject}
}

// run is how every subject of this day begins, other than the demo population.
func (s *Script) run() string { return runName(s.seed) }

func runName(seed uint64) string { return fmt.Sprintf("day-%d", seed) }
