package day

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/edge/passcode"
)

// CodeKeys are the newest code key of each issuer.
type CodeKeys map[string]passcode.Key

// LoadCodeKeys reads the file that a fleet keeps of its issuers' code keys.
func LoadCodeKeys(path string) (CodeKeys, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the code keys: %w", err)
	}
	var file struct {
		Issuers map[string][]struct {
			ID  uint8  `json:"id"`
			Key []byte `json:"key"`
		} `json:"issuers"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		return nil, fmt.Errorf("%s is no file of code keys: %w", path, err)
	}
	keys := CodeKeys{}
	for issuer, all := range file.Issuers {
		if len(all) > 0 {
			keys[issuer] = passcode.NewKey(issuer, all[0].ID, all[0].Key)
		}
	}
	return keys, nil
}

// mix makes the visits that a scenario asks for.
type mix struct {
	scenario *Scenario
	keys     []passcode.Key // by the issuer's place
	bogus    []passcode.Key // with the same ids, but not what the issuer has
	requests uint64
	uploads  uint64
	below    [operations]float64 // of a throw from 0 to 1 that falls there or before; uploads are not thrown
	own      *Subjects
	due      func(i uint64) time.Duration
}

// Requests returns in how many requests so many visits come, and how many of these are uploads.
func (s *Scenario) Requests(visits uint64) (requests, uploads uint64) {
	codes := float64(s.UploadCodes)
	uploads = uint64(math.Round(float64(visits) * s.Shares[Uploaded] / 100 / codes))
	return visits - uploads*uint64(s.UploadCodes-1), uploads
}

// newMix makes the mix of a scenario for so many visits. An issuer without a code key is an error.
func newMix(s *Scenario, visits uint64, issuers []string, keys CodeKeys, own *Subjects, due func(uint64) time.Duration) (*mix, error) {
	m := &mix{scenario: s, own: own, due: due}
	m.requests, m.uploads = s.Requests(visits)
	for _, issuer := range issuers {
		key, ok := keys[issuer]
		if !ok {
			return nil, fmt.Errorf("issuer %s has no code key, so no rolling code of its can be made", issuer)
		}
		m.keys = append(m.keys, key)
		m.bogus = append(m.bogus, passcode.NewKey(issuer, key.ID(), make([]byte, 32)))
	}
	sum, all := 0.0, 100-s.Shares[Uploaded]
	for op, share := range s.Shares {
		if Operation(op) != Uploaded {
			sum += share / all
		}
		m.below[op] = sum
	}
	return m, nil
}

// op is what visit i asks. Uploads stand one in each of as many equal stretches, somewhere in it, so that their number is exact.
func (m *mix) op(seed, i uint64, d *dice) Operation {
	throw := unit(d.pcg.Uint64())
	if m.uploads > 0 {
		stretch := scale(i, m.uploads, m.requests)
		first, next := ceilScale(stretch, m.requests, m.uploads), ceilScale(stretch+1, m.requests, m.uploads)
		if i == first+hash(seed, stretch, 0)%(next-first) {
			return Uploaded
		}
	}
	for op, below := range m.below {
		if throw < below && Operation(op) != Uploaded {
			return Operation(op)
		}
	}
	return Own
}

// ceilScale is a · b / c, rounded up.
func ceilScale(a, b, c uint64) uint64 {
	q := scale(a, b, c)
	if q*c != a*b { // both wrap alike
		q++
	}
	return q
}

// mixed is visit i of a run, which is number n of the scenario's day.
func (s *Script) mixed(i, n uint64) visit {
	edge, op, d := s.thrown(n)
	for before := n; op == Repeat && before > n-i; {
		before--
		if _, was, again := s.thrown(before); was != Repeat && was != Uploaded {
			v := s.made(i-(n-before), before, was, again)
			v.edge, v.op = edge, Repeat
			return v
		}
	}
	if op == Repeat {
		op = Plain // nothing was asked before
	}
	v := s.made(i, n, op, d)
	v.edge = edge
	return v
}

// thrown is where number n of the day goes and what it asks, with the dice as they are then.
func (s *Script) thrown(n uint64) (edge int, op Operation, d *dice) {
	d = throw(s.seed, n)
	edge = int(d.below(uint64(len(s.edges))))
	return edge, s.mix.op(s.seed, n, d), d
}

// made is what visit i, number n of the day, of an operation asks.
func (s *Script) made(i, n uint64, op Operation, d *dice) visit {
	v := visit{op: op, weight: 1, eol: "\n"}
	switch op {
	case Uploaded:
		v.upload, v.weight = true, uint32(s.mix.scenario.UploadCodes)
		v.asks = make([]question, s.mix.scenario.UploadCodes)
		for k := range v.asks {
			v.asks[k] = s.gate(d, fmt.Sprintf("%d-%d", n, k))
		}
	case Contacts:
		v.upload, v.asks = true, s.mix.own.trip(d)
	default:
		v.holder = op == Own
		v.asks = []question{s.ask(i, n, op, d)}
	}
	return v
}

// gate is a code of an upload: every second one is rolling.
func (s *Script) gate(d *dice, name string) question {
	switch kind := d.below(200); {
	case kind < 98:
		return s.resident(d, 0, s.mix.keys)
	case kind < 99:
		return s.resident(d, 0, s.mix.bogus).forged()
	case kind < 100:
		return s.unknown(d, name)
	default:
		return s.resident(d, 0, nil)
	}
}

func (s *Script) ask(i, n uint64, op Operation, d *dice) question {
	switch op {
	case Own, Rolling:
		return s.resident(d, 0, s.mix.keys)
	case Forged:
		return s.resident(d, 0, s.mix.bogus).forged()
	case Expired:
		q := s.resident(d, -10, s.mix.keys)
		q.want = want{problem: scanedge.CodeExpired}
		return q
	case Registered:
		if q, ok := s.mix.own.registered(d, s.mix.due(i)); ok {
			return q
		}
	case Changed:
		return s.mix.own.changed(d)
	case Foreign:
		return question{code: foreignIssuer + ":" + Name(d.below(1<<20)+1), want: want{problem: scanedge.IssuerNotHeld}}
	case Unknown:
		return s.unknown(d, fmt.Sprint(n))
	case Malformed:
		return question{code: pick(d, pick(d, s.badPaths)), want: malformedCode}
	}
	return s.resident(d, 0, nil)
}

// foreignIssuer is one that no fleet of the suite holds.
const foreignIssuer = "day-elsewhere"

// resident asks for one of the population, some of whom come more often than others (Zipf, with Mandelbrot's offset): by a plain
// code without keys, or by a rolling one of so many steps after the present.
func (s *Script) resident(d *dice, steps int, keys []passcode.Key) question {
	skew := s.mix.scenario.Skew
	place := skew * (math.Pow(1+1/skew, unit(d.pcg.Uint64())) - 1)
	k, number := s.population.At(min(uint64(place*float64(s.population.Subjects)), s.population.Subjects-1))
	issuer, subject := s.population.Issuers[k], Name(number)
	q := question{want: want{issuer: issuer, status: StatusOf(number)}}
	if keys == nil {
		q.code = issuer + ":" + subject
	} else {
		q.key, q.steps, q.issuer, q.subject = &keys[k], steps, issuer, subject
	}
	return q
}

// forged is the question when its key is not the issuer's.
func (q question) forged() question {
	q.want = want{problem: scanedge.ForgedCode}
	return q
}

// text is the code as it is sent at a time: a rolling one is made for it.
func (q *question) text(now time.Time) string {
	if q.key == nil {
		return q.code
	}
	subject := []byte(q.subject)
	step := int64(passcode.Step(now.Unix())) + int64(q.steps)
	return q.key.Secret(subject).Mint(q.issuer, q.key.ID(), subject, uint32(max(0, step)))
}
