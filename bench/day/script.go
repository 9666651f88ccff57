package day

import (
	"strconv"
	"time"

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

// Script makes the visits of a day and judges their answers. Visit i follows from the seed and i alone, rolling codes from the time too,
// and so does what its answer must be. Safe for use by many goroutines.
type Script struct {
	seed       uint64
	run        string // how every subject of this day begins, other than the demo population
	edges      []load.Edge
	population Population
	badPaths   [][]string // by issuer
	badLines   [][]string
	problems   problems

	mix   *mix             // what a scenario asks; nil: the simple mix
	first uint64           // which number in the scenario's day visit 0 has
	now   func() time.Time // by which rolling codes are made
}

// NewScript makes the day of a seed for a fleet with these edges and subjects.
func NewScript(seed uint64, edges []load.Edge, population Population) *Script {
	s := &Script{seed: seed, run: runName(seed), edges: edges, population: population, problems: newProblems(), now: time.Now}
	for _, issuer := range population.Issuers {
		s.badPaths = append(s.badPaths, badPaths(issuer))
		s.badLines = append(s.badLines, badLines(issuer))
	}
	return s
}

// Route says where visit i goes, and over what connection.
func (s *Script) Route(i uint64) load.Route {
	var d dice
	d.throw(s.seed, s.first+i)
	r := load.Route{Edge: s.edge(&d), Kind: load.Kept}
	if s.mix != nil {
		r.Kind = s.mix.kind(s.seed, s.first+i)
	}
	return r
}

// edge is the first throw of every visit.
func (s *Script) edge(d *dice) int { return int(d.below(uint64(len(s.edges)))) }

// Visit makes what visit i sends. It allocates nothing once out has room.
func (s *Script) Visit(i uint64, out *load.Visit) {
	v := visitIn(out)
	if s.mix != nil {
		s.mixed(v, i, s.first+i)
	} else {
		s.simple(v, i)
	}
	v.send(out)
}

// simple is visit i where no scenario says otherwise.
func (s *Script) simple(v *visit, i uint64) {
	v.throw(s.seed, i)
	s.edge(&v.dice)
	switch kind := v.below(100); {
	case kind < knownShare:
		v.op = Plain
		s.known(v, pick(&v.dice, colons))
	case kind < knownShare+unknownShare:
		v.op = Unknown
		s.unknown(v, i, alone)
	case kind < knownShare+unknownShare+malformedShare:
		v.op = Malformed
		s.malformed(v, s.badPaths)
	default:
		v.op, v.upload, v.eol = Uploaded, true, pick(&v.dice, lineEnds)
		for k := range UploadCodes {
			s.line(v, i, k)
			v.end()
		}
	}
}

// What a scanner may write in either way: the colon in a path, and the end of a line.
var (
	colons   = []string{":", ":", ":", "%3A"}
	lineEnds = []string{"\n", "\r\n"}
)

// line is one code of upload i, in the same proportions as the visits that have one code.
func (s *Script) line(v *visit, i uint64, k int) {
	switch kind := v.below(knownShare + unknownShare + malformedShare); {
	case kind < knownShare:
		s.known(v, ":")
	case kind < knownShare+unknownShare:
		s.unknown(v, i, k)
	default:
		s.malformed(v, s.badLines)
	}
}

func (s *Script) known(v *visit, colon string) {
	k, number := s.population.At(v.below(s.population.Subjects))
	s.plain(v, k, number, colon)
}

// plain asks for one of the population by a plain code.
func (s *Script) plain(v *visit, k int, number uint64, colon string) {
	issuer := s.population.Issuers[k]
	v.code(issuer, colon)
	v.text = appendName(v.text, number)
	v.expect(want{issuer: issuer, status: StatusOf(number)})
}

// alone is the line of a visit that is no upload.
const alone = -1

// unknown asks for a subject that only this run could have made, and does not.
func (s *Script) unknown(v *visit, n uint64, line int) {
	v.code(pick(&v.dice, s.population.Issuers), ":", s.run, "-u")
	v.text = strconv.AppendUint(v.text, n, 10)
	if line != alone {
		v.text = strconv.AppendInt(append(v.text, '-'), int64(line), 10)
	}
	v.expect(unknownSubject)
}

// malformed brings one of an issuer's codes that are none.
func (s *Script) malformed(v *visit, bad [][]string) {
	v.code(pick(&v.dice, pick(&v.dice, bad)))
	v.expect(malformedCode)
}

// runName is how every subject of a run begins.
func runName(seed uint64) string { return "day-" + strconv.FormatUint(seed, 10) }
