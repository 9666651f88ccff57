package load

import (
	"strings"
	"testing"
	"time"
)

// valid is a run that no rule objects to: 1000 visits in 10 s, all answered on time.
func valid() *Result {
	r := NewResult(Constant{1000, 10 * time.Second})
	r.Accounts = Accounts{Planned: 1000, Sent: 1000, Outcomes: map[Outcome]uint64{"green": 900, "other": 100}}
	for range 1000 {
		r.Lateness.Record(time.Millisecond)
		r.Service.Record(100 * time.Millisecond)
	}
	r.pace, r.bursts, r.took, r.looked = pace{seconds: 10, late: 1, off: 1}, 0.1, 10*time.Second, true
	r.under, r.underOff = 10, 0.5
	r.Processor = Processor{Own: 0.3, Machine: 0.9, Stolen: 0.01}
	return r
}

// Each rule fires, alone, when its condition is broken by the least amount.
func TestEveryRuleFires(t *testing.T) {
	fired := map[string]bool{}
	for name, c := range map[string]struct {
		spoil func(*Result)
		rule  string
		want  string
	}{
		"interrupted": {func(r *Result) { r.Interrupted = true }, "played to its end", "the run was interrupted"},
		"unsent":      {func(r *Result) { r.Accounts.Planned, r.Accounts.Unsent = 1011, 11 }, "rate", "off by 1.09 % over the run, by more than 3 % in 1 of 10 seconds, 11 of 1011 visits not at all"},
		"failed": {func(r *Result) {
			r.Accounts.Outcomes[Failed], r.Accounts.Outcomes["green"], r.Failure = 2, 898, "edge-1: timeout"
		}, "answers", "of 1000 visits 2 got no answer and 0 were refused"},
		"refused":            {func(r *Result) { r.Accounts.Outcomes[Refused], r.Accounts.Outcomes["green"] = 2, 898 }, "answers", "2 were refused"},
		"late":               {func(r *Result) { r.pace.late = 2 }, "lag", "visits were sent late: the lag's p99 was over 10 ms in 2 of 10 seconds"},
		"late, of many":      {func(r *Result) { r.pace = pace{seconds: 1000, late: 11} }, "lag", "in 11 of 1000 seconds"},
		"off, of seconds":    {func(r *Result) { r.pace.off = 2 }, "rate", "by more than 3 % in 2 of 10 seconds"},
		"off, of many":       {func(r *Result) { r.pace = pace{seconds: 1000, off: 51} }, "rate", "51 of 1000"},
		"bursts":             {func(r *Result) { r.bursts = 0.26 }, "bursts", "visits were sent in bursts: 26.0 % of visits in another 10ms"},
		"lost under way":     {func(r *Result) { r.under = 11.1 }, "Little's law", "11.1 under way, rate times latency 10.0"},
		"clock":              {func(r *Result) { r.step = MaxStep + time.Millisecond }, "clock", "clock was set by 101ms"},
		"busy":               {func(r *Result) { r.Processor.Machine = 0.99 }, "processors", "no processor time was left"},
		"stolen":             {func(r *Result) { r.Processor.Stolen = 0.11 }, "processors", "neighbours took"},
		"own":                {func(r *Result) { r.Processor.Own = 0.81 }, "processors", "the generator took most"},
		"ports":              {func(r *Result) { r.unported = 1 }, "sockets", "1 visits without a local port, 0 connections found a listener's queue full: give"},
		"logs":               {func(r *Result) { r.Unlogged = "disk full" }, "logs", "not whole: disk full"},
		"lost on the way":    {func(r *Result) { r.Accounts.Planned++ }, "accounts", "1001 visits planned, but 1000 sent and 0 unsent"},
		"without an outcome": {func(r *Result) { r.Accounts.Outcomes["green"]-- }, "accounts", "1000 visits sent, but 999 have an outcome"},
		"with two outcomes":  {func(r *Result) { r.Accounts.Outcomes["red"]++ }, "accounts", "1000 visits sent, but 1001 have an outcome"},
	} {
		r := valid()
		c.spoil(r)
		r.judge()
		if why := Reasons(r); len(why) != 1 || !strings.Contains(why[0], c.want) {
			t.Errorf("%s: reasons %q, want %q", name, why, c.want)
		}
		for _, rule := range r.Rules {
			if rule.Measured == "" || (rule.Broken != "") != (rule.Name == c.rule) {
				t.Errorf("%s: %+v", name, rule)
			}
		}
		fired[c.rule] = true
	}
	if len(fired) != len(rules) {
		t.Errorf("%d of %d rules were shown to fire", len(fired), len(rules))
	}
}

func TestValidRunHasNoReasons(t *testing.T) {
	r := valid()
	r.AddWrong(Example{}) // a result, not a doubt
	r.judge()
	if why := Reasons(r); len(why) > 0 {
		t.Errorf("reasons %q", why)
	}
}

func TestWrongsKeepFewExamples(t *testing.T) {
	var visits, canaries Wrongs
	for range 7 {
		visits.AddWrong(Example{Code: "visit"})
	}
	canaries.AddWrong(Example{Code: "canary"})
	visits.Join(canaries)
	if visits.Wrong != 8 || len(visits.Examples) != MaxExamples || visits.Examples[0].Code != "canary" {
		t.Errorf("%+v", visits)
	}
}
