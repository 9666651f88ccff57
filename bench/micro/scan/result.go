package scan

import (
	"os"
	"runtime"
	"slices"
	"strings"
)

// Result is what was found. A member that was not measured is absent; Skipped may say why.
type Result struct {
	Subjects      uint64  `json:"subjects"`
	RedisSubjects uint64  `json:"redis_subjects,omitzero"` // in Redis, which needs eight times the memory
	Machine       Machine `json:"machine"`
	Seconds       float64 `json:"seconds"`       // that it all took
	Slice         float64 `json:"slice_seconds"` // of a row in a round

	Rounds map[string][]float64 `json:"rounds"` // a row's rates, in answers or verdicts a second
	Rows   []Row                `json:"rows"`
	Ratios []Ratio              `json:"ratios"`

	Inside  []Inside `json:"inside,omitempty"` // of each round of the rows with scans one by one
	Handler *Handler `json:"handler,omitempty"`

	Goals   []Goal            `json:"goals,omitempty"`
	Skipped map[string]string `json:"skipped,omitempty"` // servers that were not measured, and why
}

// Machine is where it was measured.
type Machine struct {
	Go         string `json:"go"`
	System     string `json:"system"`
	Processor  string `json:"processor,omitempty"`
	Processors int    `json:"processors"`
}

// Row is one thing that was measured.
type Row struct {
	Name string `json:"name"`
	What string `json:"what"`
	Unit string `json:"unit"`
	Spread
}

// Ratio is how one row compares with another one, round by round.
type Ratio struct {
	Of string `json:"of"`
	To string `json:"to"`
	Spread
}

// Spread is what the rounds show.
type Spread struct {
	Median float64 `json:"median"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
}

func spreadOf(rounds []float64) Spread {
	return Spread{median(rounds), slices.Min(rounds), slices.Max(rounds)}
}

func newResult(c Config) *Result {
	return &Result{
		Subjects: c.Subjects, Slice: c.Slice.Seconds(), Rounds: map[string][]float64{}, Skipped: map[string]string{},
		Machine: Machine{runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, processor(), runtime.NumCPU()},
	}
}

func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	_, after, _ := strings.Cut(string(text), "model name")
	name, _, _ := strings.Cut(after, "\n")
	return strings.TrimSpace(strings.TrimLeft(name, "\t :"))
}

// compared are the pairs of which a ratio is shown.
var compared = [][2]string{
	{rowPlain, rowConstant}, {rowRolling, rowConstant}, {rowSigned, rowConstant}, {rowPipelined, rowPlain}, {rowBatch, rowRedisPipeline},
	{rowPlain, rowNginx}, {rowPlain, rowRedis}, {rowPipelined, rowRedisPipeline},
}

// derive fills in what follows from the rounds.
func (r *Result) derive(rows []row) {
	for _, row := range rows {
		r.Rows = append(r.Rows, Row{row.name, row.what, row.unit, spreadOf(r.Rounds[row.name])})
	}
	for _, pair := range compared {
		of, to := r.Rounds[pair[0]], r.Rounds[pair[1]]
		if of == nil || to == nil {
			continue
		}
		var ratios []float64
		for i := range of {
			ratios = append(ratios, of[i]/to[i])
		}
		r.Ratios = append(r.Ratios, Ratio{pair[0], pair[1], spreadOf(ratios)})
	}
	r.Goals = goalsOf(r)
}

func median(rounds []float64) float64 {
	if len(rounds) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(rounds))
	return (s[len(s)/2] + s[(len(s)-1)/2]) / 2
}
