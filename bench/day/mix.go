package day

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/bench/load"
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
	below    [operations]float64      // of a throw from 0 to 1 that falls there or before; uploads are not thrown
	kinds    [connectionKinds]float64 // of connections, likewise
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
	sum = 0
	for _, share := range s.Connections {
		sum += share
	}
	below := 0.0
	for k, share := range s.Connections {
		below += share
		m.kinds[k] = below / sum // the last is 1
	}
	return m, nil
}

// kind is what connection number n of the day goes over.
func (m *mix) kind(seed, n uint64) load.Kind {
	const connections = 3 // names these throws
	throw := unit(hash(seed, n, connections))
	for k, below := range m.kinds {
		if throw < below {
			return load.Kind(k)
		}
	}
	return load.Kept
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
func (s *Script) mixed(v *visit, i, n uint64) {
	op := s.throw(v, n)
	for before := n; op == Repeat && before > n-i; {
		before--
		if was := s.throw(v, before); was != Repeat && was != Uploaded {
			s.make(v, i-(n-before), before, was)
			v.op = Repeat
			return
		}
	}
	if op == Repeat { // nothing was asked before
		s.throw(v, n)
		op = Plain
	}
	s.make(v, i, n, op)
}

// throw is what number n of the day asks, with the dice as they are then.
func (s *Script) throw(v *visit, n uint64) Operation {
	v.throw(s.seed, n)
	s.edge(&v.dice)
	return s.mix.op(s.seed, n, &v.dice)
}

// make makes what visit i, number n of the day, of an operation asks.
func (s *Script) make(v *visit, i, n uint64, op Operation) {
	v.op, v.holder, v.upload = op, op == Own, op == Uploaded || op == Contacts
	switch step := passcode.Step(s.now().Unix()); op {
	case Uploaded:
		for k := range s.mix.scenario.UploadCodes {
			s.gate(v, n, k, step)
			v.end()
		}
		v.weight = uint32(len(v.wants))
	case Contacts:
		s.mix.own.trip(v)
	default:
		s.ask(v, i, n, step)
	}
}

// gate is a code of an upload: every second one is rolling.
func (s *Script) gate(v *visit, n uint64, line int, step uint32) {
	switch kind := v.below(200); {
	case kind < 98:
		s.rolling(v, s.mix.keys, step)
	case kind < 99:
		s.forged(v, step)
	case kind < 100:
		s.unknown(v, n, line)
	default:
		s.resident(v)
	}
}

func (s *Script) ask(v *visit, i, n uint64, step uint32) {
	switch v.op {
	case Own, Rolling:
		s.rolling(v, s.mix.keys, step)
	case Forged:
		s.forged(v, step)
	case Expired:
		s.rolling(v, s.mix.keys, step-min(step, 10))
		v.wants[0] = want{problem: scanedge.CodeExpired}
	case Registered:
		if !s.mix.own.registered(v, s.mix.due(i)) {
			s.resident(v)
		}
	case Changed:
		s.mix.own.changed(v)
	case Foreign:
		v.code(foreignIssuer, ":")
		v.text = appendName(v.text, v.below(1<<20)+1)
		v.expect(want{problem: scanedge.IssuerNotHeld})
	case Unknown:
		s.unknown(v, n, alone)
	case Malformed:
		s.malformed(v, s.badPaths)
	default:
		s.resident(v)
	}
}

// foreignIssuer is one that no fleet of the suite holds.
const foreignIssuer = "day-elsewhere"

// visitor is one of the population, some of whom come more often than others (Zipf, with Mandelbrot's offset).
func (s *Script) visitor(d *dice) (k int, number uint64) {
	skew := s.mix.scenario.Skew
	place := skew * (math.Pow(1+1/skew, unit(d.pcg.Uint64())) - 1)
	return s.population.At(min(uint64(place*float64(s.population.Subjects)), s.population.Subjects-1))
}

// resident asks for a visitor by a plain code.
func (s *Script) resident(v *visit) {
	k, number := s.visitor(&v.dice)
	s.plain(v, k, number, ":")
}

// rolling asks for a visitor by the rolling code of a step.
func (s *Script) rolling(v *visit, keys []passcode.Key, step uint32) {
	k, number := s.visitor(&v.dice)
	issuer, key := s.population.Issuers[k], &keys[k]
	var room [32]byte
	subject := appendName(room[:0], number)
	secret := key.Secret(subject)
	v.text = secret.AppendMint(v.text, issuer, key.ID(), subject, step)
	v.expect(want{issuer: issuer, status: StatusOf(number)})
}

// forged brings a rolling code whose key is not the issuer's.
func (s *Script) forged(v *visit, step uint32) {
	s.rolling(v, s.mix.bogus, step)
	v.wants[len(v.wants)-1] = want{problem: scanedge.ForgedCode}
}
