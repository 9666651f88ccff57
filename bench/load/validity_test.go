package load

import (
	"strings"
	"testing"
	"time"
)

// valid is a run that no rule objects to: 100 visits, all answered on time.
func valid() *Result {
	r := NewResult(Constant{100, time.Second})
	r.Accounts = Accounts{Planned: 100, Sent: 100, Outcomes: map[Outcome]uint64{"green": 90, "other": 10}}
	for range 100 {
		r.Lateness.Record(time.Millisecond)
	}
	return r
}

// Each rule fires, alone, when its condition is broken by the least amount.
func TestEveryRuleFires(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*Result)
		want  string
	}{
		"interrupted": {func(r *Result) { r.Interrupted = true }, "the run was interrupted"},
		"unsent":      {func(r *Result) { r.Accounts.Planned, r.Accounts.Unsent = 101, 1 }, "1 of 101 visits were not sent"},
		"failed": {func(r *Result) {
			r.Accounts.Outcomes[Failed], r.Accounts.Outcomes["green"], r.Failure = 1, 89, "edge-1: timeout"
		}, "1 visits got no answer (the last: edge-1: timeout)"},
		"refused": {func(r *Result) { r.Accounts.Outcomes[Refused], r.Accounts.Outcomes["green"] = 1, 89 }, "1 visits were refused"},
		"late": {func(r *Result) {
			r.Lateness.Record(MaxLateness*time.Millisecond + 2*time.Millisecond)
			r.Lateness.Record(MaxLateness*time.Millisecond + 2*time.Millisecond)
		}, "visits were sent late, p99 102 ms where 100 ms is allowed"},
		"lost on the way":    {func(r *Result) { r.Accounts.Planned++ }, "101 visits planned, but 100 sent and 0 unsent"},
		"without an outcome": {func(r *Result) { r.Accounts.Outcomes["green"]-- }, "100 visits sent, but 99 have an outcome"},
		"with two outcomes":  {func(r *Result) { r.Accounts.Outcomes["red"]++ }, "100 visits sent, but 101 have an outcome"},
	} {
		r := valid()
		c.spoil(r)
		if why := Reasons(r); len(why) != 1 || !strings.Contains(why[0], c.want) {
			t.Errorf("%s: reasons %q, want %q", name, why, c.want)
		}
	}
}

func TestValidRunHasNoReasons(t *testing.T) {
	r := valid()
	r.AddWrong(Example{}) // a result, not a doubt
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
