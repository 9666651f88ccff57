// Package self measures what the suite's load generator carries by itself, beside other generators, and what its checking and recording cost.
//
// The server is bare fasthttp with one constant verdict, in a process of its own on one processor; each generator is a process on another one,
// over 128 connections, as fast as it can. Rows are measured in turns, A B C, C B A, and so on: a figure is the median of its rounds, a ratio
// the median of the ratios of each round. The processor's time an answer says what a generator costs also where the server is what holds it up.
//
//   - wrk: its own requests, written once; nothing is looked at
//   - net/http: vegeta as it comes, which looks at nothing
//   - carry: vegeta with fasthttp's client behind it, which is as fast as vegeta's attacker goes; answers are not looked at
//   - record: the suite's whole engine (bench/load), with a judge that believes all
//   - check: the same, with the judge of a launch day (bench/day)
//   - pipe: the same over two connections that are pipelined
package self

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Config is how it is measured.
type Config struct {
	Rounds   int                             // 1 or more
	Slice    time.Duration                   // how long a row is measured in a round
	Child    func() *exec.Cmd                // makes the command of a process that calls [Child]
	Progress func(step string, done float64) // is told what is being done, and how much of all is done
}

// Result is what was found.
type Result struct {
	Rounds map[string][]Round `json:"rounds"`
	Rows   []Row              `json:"rows"`
	Ratios []Ratio            `json:"ratios"`

	Skipped map[string]string `json:"skipped,omitempty"` // rows that were not measured, and why
}

// Round is a row, measured once.
type Round struct {
	Rate   float64 `json:"rate"`         // answers a second
	Micros float64 `json:"processor_us"` // the generator's processor time an answer
}

// Row is the medians of a row's rounds.
type Row struct {
	Name string `json:"name"`
	What string `json:"what"`
	Round
}

// Ratio is how a row's rate compares with another one's, round by round.
type Ratio struct {
	Of     string  `json:"of"`
	To     string  `json:"to"`
	Rate   float64 `json:"rate"`
	Micros float64 `json:"processor"`
}

// Names of rows.
const (
	rowWrk    = "wrk"
	rowHTTP   = "net/http"
	rowCarry  = "carry"
	rowRecord = "record"
	rowCheck  = "check"
	rowPipe   = "pipe"
)

var allRows = []Row{
	{Name: rowWrk, What: "wrk, one thread"},
	{Name: rowHTTP, What: "vegeta with its own net/http client"},
	{Name: rowCarry, What: "vegeta with fasthttp's client"},
	{Name: rowRecord, What: "the suite's engine: schedule, accounts, histograms"},
	{Name: rowCheck, What: "the same, every answer judged as on a launch day"},
	{Name: rowPipe, What: "the same, pipelined"},
}

var compared = [][2]string{
	{rowCarry, rowHTTP}, {rowRecord, rowHTTP}, {rowCheck, rowHTTP}, {rowRecord, rowCarry}, {rowCheck, rowRecord}, {rowCheck, rowCarry}, {rowCheck, rowWrk}, {rowPipe, rowCheck},
}

// Run measures.
func Run(ctx context.Context, c Config) (*Result, error) {
	r := &Result{Rounds: map[string][]Round{}, Skipped: map[string]string{}}
	rows := slices.Clone(allRows)
	if _, err := exec.LookPath(rowWrk); err != nil {
		r.Skipped[rowWrk] = "it is not installed"
		rows = rows[1:]
	}
	server, err := startServer(ctx, c.Child())
	if err != nil {
		return nil, err
	}
	defer server.stop()
	for n := range c.Rounds {
		order := slices.Clone(rows)
		if n%2 == 1 {
			slices.Reverse(order)
		}
		for i, row := range order {
			c.Progress(fmt.Sprintf("round %d of %d: %s", n+1, c.Rounds, row.Name), float64(n*len(rows)+i)/float64(c.Rounds*len(rows)))
			round, err := c.measure(ctx, row.Name, server.addr)
			if err != nil {
				return nil, fmt.Errorf("measuring %s: %w", row.Name, errors.Join(ctx.Err(), err))
			}
			r.Rounds[row.Name] = append(r.Rounds[row.Name], round)
		}
	}
	r.derive(rows)
	return r, nil
}

// measure runs a generator once, to its end.
func (c *Config) measure(ctx context.Context, row, addr string) (Round, error) {
	if row == rowWrk {
		return c.wrk(ctx, addr)
	}
	order, err := json.Marshal(order{Load: row, Addr: addr, Slice: c.Slice})
	if err != nil {
		return Round{}, err
	}
	cmd := c.Child()
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(order)), os.Stderr
	out, err := output(ctx, cmd)
	if err != nil {
		return Round{}, err
	}
	var r Round
	return r, json.Unmarshal(out, &r)
}

func (c *Config) wrk(ctx context.Context, addr string) (r Round, err error) {
	seconds := max(1, int(c.Slice.Seconds()+0.5)) // it takes whole ones
	cmd := exec.Command(rowWrk, "-t1", "-c"+strconv.Itoa(connections), "-d"+strconv.Itoa(seconds)+"s", "http://"+addr+"/v1/scan/demo-a:d000000001")
	out, err := output(ctx, cmd)
	if err != nil {
		return r, fmt.Errorf("%w: %s", err, out)
	}
	_, said, _ := strings.Cut(string(out), "Requests/sec:")
	line, _, _ := strings.Cut(said, "\n")
	if r.Rate, err = strconv.ParseFloat(strings.TrimSpace(line), 64); err != nil {
		return r, fmt.Errorf("it did not say its rate: %s", out)
	}
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	r.Micros = used.Seconds() * 1e6 / (r.Rate * float64(seconds))
	return r, nil
}

// derive fills in what follows from the rounds.
func (r *Result) derive(rows []Row) {
	rate, micros := func(x Round) float64 { return x.Rate }, func(x Round) float64 { return x.Micros }
	for _, row := range rows {
		of := r.Rounds[row.Name]
		row.Round = Round{median(of, rate), median(of, micros)}
		r.Rows = append(r.Rows, row)
	}
	for _, pair := range compared {
		of, to := r.Rounds[pair[0]], r.Rounds[pair[1]]
		if of == nil || to == nil {
			continue
		}
		ratios := make([]Round, len(of))
		for i := range of {
			ratios[i] = Round{of[i].Rate / to[i].Rate, of[i].Micros / to[i].Micros}
		}
		r.Ratios = append(r.Ratios, Ratio{pair[0], pair[1], median(ratios, rate), median(ratios, micros)})
	}
}

func median(rounds []Round, of func(Round) float64) float64 {
	var all []float64
	for _, r := range rounds {
		all = append(all, of(r))
	}
	slices.Sort(all)
	return (all[len(all)/2] + all[(len(all)-1)/2]) / 2
}

// Text writes the result for a person.
func (r *Result) Text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "generator and bare fasthttp on a processor each, %d connections, medians of %d rounds\n\n", connections, len(r.Rounds[rowCheck]))
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range r.Rows {
		fmt.Fprintf(t, "%s\t%s\t%.0f answers/s\t%.2f µs of processor each\n", row.Name, row.What, row.Rate, row.Micros)
	}
	fmt.Fprintln(t, "\t\t\t")
	for _, x := range r.Ratios {
		fmt.Fprintf(t, "%s\tto %s\t%.3f of its rate\t%.3f of its processor time\n", x.Of, x.To, x.Rate, x.Micros)
	}
	_ = t.Flush()
	for name, why := range r.Skipped {
		fmt.Fprintf(&b, "not measured: %s: %s\n", name, why)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
