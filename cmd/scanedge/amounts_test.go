package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// What a flag takes, what it makes of it, and how it says so.
func TestAmounts(t *testing.T) {
	for _, c := range []struct {
		flag       pflag.Value
		text, says string // no says: it is refused
	}{
		{new(period), "90s", "1m30s"}, {new(period), "30d", "30d"}, {new(period), "0.5d", "12h0m0s"}, {new(period), "24h", "1d"}, {new(period), "0s", "0s"},
		{new(period), "-1s", ""}, {new(period), "-1d", ""}, {new(period), "d", ""}, {new(period), "NaNd", ""}, {new(period), "1e9d", ""}, {new(period), "5", ""},
		{new(rate), "1000/s", "1000/s"}, {new(rate), "0.5", "0.5/s"},
		{new(rate), "0", ""}, {new(rate), "-1/s", ""}, {new(rate), "10/m", ""}, {new(rate), "Inf", ""}, {new(rate), "NaN", ""},
		{new(share), "5%", "5%"}, {new(share), "0.05", "5%"}, {new(share), "0", "0%"}, {new(share), "100%", "100%"}, {new(share), "0.123%", "0.123%"},
		{new(share), "1.1", ""}, {new(share), "-1%", ""}, {new(share), "NaN", ""}, {new(share), "%", ""},
	} {
		err := c.flag.Set(c.text)
		if (err == nil) != (c.says != "") || err == nil && c.flag.String() != c.says {
			t.Errorf("%s %q: %q, %v", c.flag.Type(), c.text, c.flag, err)
		}
	}
	p := period(1500 * time.Millisecond)
	if p.seconds() != 2 {
		t.Errorf("%d seconds", p.seconds())
	}
}

func TestAgo(t *testing.T) {
	now := time.Now()
	for since, want := range map[time.Duration]string{
		-time.Hour: "just now", 0: "just now", 999 * time.Millisecond: "just now", time.Second: "1 second ago", 59 * time.Second: "59 seconds ago",
		3*time.Minute + 50*time.Second: "3 minutes ago", time.Hour: "1 hour ago", 47 * time.Hour: "1 day ago", 400 * 24 * time.Hour: "400 days ago",
	} {
		if got := ago(now.Add(-since), now); got != want {
			t.Errorf("%v: %q, not %q", since, got, want)
		}
	}
	if got := ago(time.Time{}, now); got != "never" {
		t.Errorf("%q", got)
	}
}

func TestColumns(t *testing.T) {
	var out bytes.Buffer
	if err := columns(&out, [][]string{{"name", "state"}, {"广州", "in force"}, {"gate", ""}, {"a longer one", "x"}}); err != nil {
		t.Fatal(err)
	}
	want := "name          state\n广州          in force\ngate\na longer one  x\n"
	if out.String() != want {
		t.Errorf("%q, not %q", out.String(), want)
	}
}
