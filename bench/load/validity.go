package load

import (
	"fmt"
	"math"
	"time"
)

// What a believable run keeps to.
const (
	MaxLag         = 10    // ms that the p99 of the generator's lag may be in a second,
	MaxLateSeconds = 0.01  // in all but this share of the seconds
	MaxOff         = 0.01  // share by which what was sent may differ from the plan over the run,
	MaxOffSecond   = 0.03  // and in a second,
	MaxOffSeconds  = 0.05  // in all but this share of the seconds
	MaxLost        = 0.001 // share of visits that may fail or be refused: percentiles speak of the others only
	MaxBusy        = 0.98  // share of the machine's processor time: with none left, queues grow from the next visit on
	MaxStolen      = 0.1   // share of it that neighbours may take
	MaxOwn         = 0.8   // share of it that the generator may need: it would be what is measured
	MaxLittle      = 0.1   // share by which rate times latency may differ from the visits under way
)

// What is too little to judge by.
const (
	fewVisits = 1000             // to say how evenly they were sent
	tooShort  = 10 * time.Second // to say how busy processors were
)

// shortRun is how many seconds a run must have for shares of them to mean something: in a shorter one, one second may miss.
const shortRun = 100

// RuleResult is one rule of validity in one run.
type RuleResult struct {
	Name     string
	Measured string // "p99 of the lag under 10 ms in 99.8 % of 600 seconds"
	Broken   string // why the run should not be believed for it; "" when it was kept
}

// rules are what a believable run keeps. Each says what was measured, and why it is broken or "".
var rules = []struct {
	name  string
	check func(*Result) (measured, broken string)
}{
	{"played to its end", interrupted},
	{"accounts", accounts},
	{"answers", lost},
	{"lag", lag},
	{"rate", rate},
	{"bursts", evenly},
	{"Little's law", littles},
	{"clock", steps},
	{"processors", busy},
	{"sockets", ports},
	{"logs", unlogged},
}

// judge holds the run against the rules.
func (r *Result) judge() {
	r.Rules = nil
	for _, rule := range rules {
		measured, broken := rule.check(r)
		r.Rules = append(r.Rules, RuleResult{rule.name, measured, broken})
	}
}

// Reasons returns why the result should not be believed; none when it is valid. A wrong answer is no reason: that is a result.
func Reasons(r *Result) []string {
	if r.Rules == nil {
		r.judge() // of a run that did not begin
	}
	var why []string
	for _, rule := range r.Rules {
		if rule.Broken != "" {
			why = append(why, rule.Broken)
		}
	}
	return why
}

func interrupted(r *Result) (measured, broken string) {
	if r.Interrupted {
		return "interrupted", "the run was interrupted"
	}
	return "to its end", ""
}

func accounts(r *Result) (measured, broken string) {
	measured = fmt.Sprintf("planned %d = sent %d + unsent %d; %d outcomes", r.Accounts.Planned, r.Accounts.Sent, r.Accounts.Unsent, r.Accounts.Answers())
	if err := r.Accounts.Check(); err != nil {
		return measured, "the accounts do not add up: " + err.Error()
	}
	return measured, ""
}

func lost(r *Result) (measured, broken string) {
	failed, refused := r.Accounts.Outcomes[Failed], r.Accounts.Outcomes[Refused]
	measured = fmt.Sprintf("%d failed, %d refused", failed, refused)
	if float64(failed+refused) <= MaxLost*float64(r.Accounts.Sent) {
		return measured, ""
	}
	broken = fmt.Sprintf("of %d visits %d got no answer and %d were refused (429, 503 or not-ready): percentiles speak of the others only",
		r.Accounts.Sent, failed, refused)
	if r.Failure != "" {
		broken += "; the last: " + r.Failure
	}
	return measured, broken
}

// tooMany tells whether so many seconds of all miss, where a share of them may.
func tooMany(n, all int, share float64) bool {
	allowed := share * float64(all)
	if all < shortRun {
		allowed = max(1, allowed)
	}
	return float64(n) > allowed
}

func lag(r *Result) (measured, broken string) {
	p := r.pace
	measured = fmt.Sprintf("p99 over %d ms in %d of %d seconds", MaxLag, p.late, p.seconds)
	if tooMany(p.late, p.seconds, MaxLateSeconds) {
		return measured, fmt.Sprintf("visits were sent late: the lag's p99 was over %d ms in %d of %d seconds, %.1f ms over the run; this rate was not carried",
			MaxLag, p.late, p.seconds, r.Lateness.Summary().P99)
	}
	return measured, ""
}

func rate(r *Result) (measured, broken string) {
	p := r.pace
	off := 0.0
	if r.Accounts.Planned > 0 {
		off = math.Abs(float64(r.Accounts.Sent)/float64(r.Accounts.Planned) - 1)
	}
	measured = fmt.Sprintf("off by %.2f %% over the run, by more than %.0f %% in %d of %d seconds", 100*off, 100*MaxOffSecond, p.off, p.seconds)
	if off > MaxOff || tooMany(p.off, p.seconds, MaxOffSeconds) {
		return measured, fmt.Sprintf("what was sent is not what was planned: %s, %d of %d visits not at all", measured, r.Accounts.Unsent, r.Accounts.Planned)
	}
	return measured, ""
}

func evenly(r *Result) (measured, broken string) {
	measured = fmt.Sprintf("%.1f %% of visits in another %v than planned", 100*r.bursts, burstBin)
	if r.bursts > MaxBursts && r.Accounts.Planned >= fewVisits {
		return measured, fmt.Sprintf("visits were sent in bursts: %s, where %.0f %% are allowed", measured, 100*MaxBursts)
	}
	return measured, ""
}

func littles(r *Result) (measured, broken string) {
	if r.took <= 0 {
		return "not looked at", ""
	}
	rate := float64(r.Service.Count()) / r.took.Seconds()
	want := rate * r.Service.Mean().Seconds()
	measured = fmt.Sprintf("%.1f under way, rate times latency %.1f", r.under, want)
	if math.Abs(r.under-want) > max(1, MaxLittle*want, r.underOff) {
		return measured, "Little's law does not hold: " + measured
	}
	return measured, ""
}

func steps(r *Result) (measured, broken string) {
	measured = fmt.Sprintf("set by %v", r.step.Round(time.Millisecond))
	if r.step > MaxStep {
		return measured, "the machine's clock was " + measured + " while the run went on"
	}
	return measured, ""
}

func busy(r *Result) (measured, broken string) {
	p := r.Processor
	if !r.looked {
		return "not looked at: this system does not tell", ""
	}
	measured = fmt.Sprintf("machine %.0f %%, generator %.0f %%, stolen %.1f %%", 100*p.Machine, 100*p.Own, 100*p.Stolen)
	switch {
	case r.took < tooShort:
	case p.Machine > MaxBusy:
		return measured, "no processor time was left: " + measured
	case p.Stolen > MaxStolen:
		return measured, "the machine's neighbours took processor time: " + measured
	case p.Own > MaxOwn:
		return measured, "the generator took most of the machine: " + measured
	}
	return measured, ""
}

// ports looks at local ports. A full queue of a listener is no reason to doubt: the edge's it is, and visits show that they waited.
func ports(r *Result) (measured, broken string) {
	measured = fmt.Sprintf("%d visits without a local port, %d connections found a listener's queue full", r.unported, r.overflowed)
	if r.unported > 0 {
		return measured, measured + ": give the scenario more sources, or fewer new connections"
	}
	return measured, ""
}

func unlogged(r *Result) (measured, broken string) {
	if r.Unlogged != "" {
		return r.Unlogged, "the log of seconds is not whole: " + r.Unlogged
	}
	return "whole", ""
}
