package load

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// SamplesFile is the name of the file with samples in a plan's folder: "vegeta report" and "vegeta plot" read it. Latencies in
// it are from the scheduled time, not as vegeta has them.
const SamplesFile = "samples.bin"

// maxSamples is about how many visits are kept.
const maxSamples = 100_000

// sampleEvery is one in how many visits is a sample.
func sampleEvery(visits uint64) uint64 { return max(1, (visits+maxSamples-1)/maxSamples) }

// sample is a visit as vegeta has it. The code that was shown is not in it.
func (e *engine) sample(f *flight, a *Answer, err error) vegeta.Result {
	v := &f.visit
	due := e.Schedule.Due(v.Number)
	r := vegeta.Result{Attack: e.Ops[v.Op], Seq: v.Number, Timestamp: e.start.Add(due), Method: http.MethodGet,
		URL: e.edges[v.Edge].URL, BytesOut: uint64(len(v.Body))}
	if len(v.Body) > 0 {
		r.Method = http.MethodPost
	}
	if err != nil {
		r.Error = err.Error()
		return r
	}
	r.Code, r.BytesIn, r.Latency = uint16(a.Code), uint64(len(a.Body)), a.At.Sub(e.start)-due
	return r
}

// sampleFile is where samples go. The nil sampleFile takes them and keeps none.
type sampleFile struct {
	file   *os.File
	encode vegeta.Encoder
	err    error // the first; nothing is written after it
}

func openSamples(dir string) (*sampleFile, error) {
	if dir == "" {
		return nil, nil
	}
	f, err := os.Create(filepath.Join(dir, SamplesFile))
	if err != nil {
		return nil, fmt.Errorf("opening the file of samples: %w", err)
	}
	return &sampleFile{file: f, encode: vegeta.NewEncoder(f)}, nil
}

func (s *sampleFile) write(all []vegeta.Result) {
	if s == nil {
		return
	}
	for i := range all {
		if s.err == nil {
			s.err = s.encode(&all[i])
		}
	}
}

// close returns why the file is not whole.
func (s *sampleFile) close() error {
	if s == nil {
		return nil
	}
	if err := s.file.Close(); s.err == nil {
		s.err = err
	}
	return s.err
}
