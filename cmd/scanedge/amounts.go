package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// period is a flag's duration: what Go takes, such as 90s or 1h30m, or days, such as 30d.
type period time.Duration

// Set reads a period.
func (p *period) Set(text string) error {
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n float64
		n, err = strconv.ParseFloat(days, 64)
		d = time.Duration(n * 24 * float64(time.Hour))
		if !(n >= 0 && n <= 100_000) {
			err = strconv.ErrRange
		}
	}
	if err != nil || d < 0 {
		return fmt.Errorf("%q is no period; give one such as 90s, 1h30m or 30d", text)
	}
	*p = period(d)
	return nil
}

// String writes a period of whole days in days.
func (p *period) String() string {
	if d, day := time.Duration(*p), 24*time.Hour; d > 0 && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return time.Duration(*p).String()
}

// Type names the flag's kind in the help.
func (p *period) Type() string { return "period" }

// seconds is the period in seconds, rounded up.
func (p *period) seconds() int64 {
	return int64((time.Duration(*p) + time.Second - 1) / time.Second)
}

// rate is a flag's number of deltas or scans a second: 1000/s, or 1000.
type rate float64

// Set reads a rate.
func (r *rate) Set(text string) error {
	f, err := strconv.ParseFloat(strings.TrimSuffix(text, "/s"), 64)
	if err != nil || !(f > 0 && f <= 1e12) {
		return fmt.Errorf("%q is no rate; give so many a second, such as 1000/s", text)
	}
	*r = rate(f)
	return nil
}

// String writes a rate, "" for none.
func (r *rate) String() string {
	if *r == 0 {
		return ""
	}
	return strconv.FormatFloat(float64(*r), 'f', -1, 64) + "/s"
}

// Type names the flag's kind in the help.
func (r *rate) Type() string { return "rate" }

// share is a flag's part of a whole: 5%, or 0.05.
type share float64

// Set reads a share.
func (s *share) Set(text string) error {
	number, percent := strings.CutSuffix(text, "%")
	f, err := strconv.ParseFloat(number, 64)
	if percent {
		f /= 100
	}
	if err != nil || !(f >= 0 && f <= 1) {
		return fmt.Errorf("%q is no share; give one such as 5%% or 0.05", text)
	}
	*s = share(f)
	return nil
}

// String writes a share in percent.
func (s *share) String() string { return strconv.FormatFloat(float64(*s)*100, 'g', 6, 64) + "%" }

// Type names the flag's kind in the help.
func (s *share) Type() string { return "share" }
