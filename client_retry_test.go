package scanedge

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

var errAway = &awayError{error: errors.New("away")}

// TestRetryKeepsOn runs in a bubble where time passes by itself: every pause is known to the nanosecond.
func TestRetryKeepsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started, attempts := time.Now(), 0
		var pauses []time.Duration
		err := Retry{For: time.Minute, Waiting: func(err error, pause time.Duration) {
			if !errors.Is(err, errAway) {
				t.Errorf("waits for %v", err)
			}
			pauses = append(pauses, pause)
		}}.keepOn(t.Context(), func() error { attempts++; return errAway })
		if !errors.Is(err, errAway) || attempts != len(pauses)+1 || time.Since(started) != time.Minute {
			t.Errorf("%d attempts, %d pauses, %s: %v", attempts, len(pauses), time.Since(started), err)
		}
		for i, pause := range pauses[:len(pauses)-1] {
			most := min(firstPause<<i, longestPause)
			if pause < most/2 || pause >= most {
				t.Errorf("pause %d is %s, not from %s to %s", i, pause, most/2, most)
			}
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := &awayError{errors.New("busy"), 7 * time.Second}
		for wait, want := range map[time.Duration]int{time.Minute: 9, 6 * time.Second: 1, 0: 1} {
			attempts := 0
			var last time.Time
			_ = Retry{For: wait}.keepOn(t.Context(), func() error {
				if attempts++; attempts > 1 && time.Since(last) < busy.after {
					t.Errorf("attempt %d after %s", attempts, time.Since(last))
				}
				last = time.Now()
				return busy
			})
			if attempts > want || attempts < want-1 || attempts == 0 {
				t.Errorf("for %s: %d attempts, want about %d", wait, attempts, want)
			}
		}
	})
}

func TestRetryEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("refused")
		for _, c := range []struct {
			answers []error
			want    error
		}{
			{[]error{nil}, nil},
			{[]error{errAway, errAway, nil}, nil},
			{[]error{refused}, refused},
			{[]error{errAway, refused}, refused},
		} {
			n := 0
			err := Retry{For: time.Hour}.keepOn(t.Context(), func() error { n++; return c.answers[n-1] })
			if err != c.want || n != len(c.answers) {
				t.Errorf("%v: %d attempts, %v", c.answers, n, err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := Retry{For: time.Hour}.keepOn(ctx, func() error { return errAway })
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errAway) {
			t.Errorf("the context's end says %v", err)
		}
	})
}

func TestRetryAfterIsRead(t *testing.T) {
	later := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	for value, want := range map[string]time.Duration{"": 0, "3": 3 * time.Second, "-3": 0, "soon": 0, "99999999999": 24 * time.Hour} {
		if got := retryAfter(value); got != want {
			t.Errorf("%q is %s", value, got)
		}
	}
	if got := retryAfter(later); got < 59*time.Minute || got > time.Hour {
		t.Errorf("%s is %s", later, got)
	}
}

// TestASilentServerIsGivenUp pushes more than any buffer holds to a server that takes connections and never reads.
func TestASilentServerIsGivenUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	impatient := newTransport(50 * time.Millisecond)
	origin := NewOrigin("http://"+l.Addr().String(), "token")
	origin.server.http.Transport = impatient
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, err = origin.PushReader(ctx, "demo-a", NDJSON, bytes.NewReader(make([]byte, 64<<20)))
	away, timeout := (*awayError)(nil), net.Error(nil)
	if !errors.As(err, &away) || !errors.As(err, &timeout) || !timeout.Timeout() || ctx.Err() != nil {
		t.Errorf("got %v", err)
	}
}

// TestWhatIsWorthAnotherTry holds each answer and each failure of a connection against whether it may pass.
func TestWhatIsWorthAnotherTry(t *testing.T) {
	answer := func(status int, problem ProblemType) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if problem == "" {
				w.WriteHeader(status)
				return
			}
			NewProblem(problem, "").Write(w)
		}
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		passes  bool
	}{
		"hung up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true},
		"half an answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			_, _ = io.WriteString(w, "x")
		}, true},
		"unavailable":      {answer(0, LogUnavailable), true},
		"full":             {answer(0, LogFull), true},
		"not ready":        {answer(0, NotReady), true},
		"body cut":         {answer(0, BodyCut), true},
		"proxy: 502":       {answer(502, ""), true},
		"too fast":         {answer(429, ""), true},
		"proxy: 504":       {answer(504, ""), true},
		"proxy: 500":       {answer(500, ""), false},
		"bad lines":        {answer(0, BadLines), false},
		"moved":            {answer(0, OffsetMoved), false},
		"reused":           {answer(0, KeyReused), false},
		"no token":         {answer(0, NoToken), false},
		"another's answer": {answer(200, ""), false},
	} {
		s := httptest.NewServer(c.handler)
		_, err := NewOrigin(s.URL, "token").Push(t.Context(), "demo-a", []Delta{{Subject: "a", Status: Red}})
		if away := (*awayError)(nil); err == nil || errors.As(err, &away) != c.passes {
			t.Errorf("%s: %v", name, err)
		}
		s.Close()
	}
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	for base, passes := range map[string]bool{s.URL: true, "http://no.such.host.invalid:1": false, "ftp://x": false} {
		_, err := NewOrigin(base, "token").Push(t.Context(), "demo-a", nil)
		if away := (*awayError)(nil); err == nil || errors.As(err, &away) != passes {
			t.Errorf("%s: %v", base, err)
		}
	}
	web := httptest.NewTLSServer(http.NotFoundHandler())
	defer web.Close()
	web.Config.ErrorLog = nil
	_, err := NewOrigin(web.URL, "token").Push(t.Context(), "demo-a", nil)
	if away := (*awayError)(nil); err == nil || errors.As(err, &away) {
		t.Errorf("a certificate that nobody trusts: %v", err)
	}
}
