package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/cache"
	"github.com/scanedge/scanedge/edge/passcode"
)

// mintFlags are those of code mint.
type mintFlags struct {
	operatorFlags
	secretFile    string
	watch, signed bool
	from, until   moment
}

func newCodeMintCmd() *cobra.Command {
	var f mintFlags
	cmd := &cobra.Command{
		Use:   "mint ISSUER SUBJECT",
		Short: "Make a code: a rolling one as a phone does, or a signed one for paper",
		Long: `mint makes the code that the subject's phone would show now, and prints it alone on standard output. The subject's secret comes from the
file that --secret names, as scanedge code secret --json printed it, and then nobody is asked; or from the origin.

With --watch it makes a new one each step of 30 s, until Ctrl-C: a QR on a terminal, a line elsewhere.

With --signed the origin makes a code for paper, which is good until a time and needs no phone; a copy of it is as good.`,
		Example: `  scanedge code mint demo-a d000000001
  scanedge code mint demo-a d000000001 --watch
  scanedge code secret demo-a d000000001 --json > secret.json
  scanedge code mint demo-a d000000001 --secret secret.json
  scanedge code mint demo-a d000000001 --signed --until 90d`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0], args[1]) },
	}
	f.add(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.secretFile, "secret", "", "file with the subject's secret, as of code secret --json; - is standard input")
	fl.BoolVar(&f.watch, "watch", false, "a new code each step, until Ctrl-C")
	fl.BoolVar(&f.signed, "signed", false, "a code for paper, signed by the issuer")
	fl.Var(&f.from, "from", "of a signed code: when it begins to be good, such as 2027-01-01T08:00:00+08:00, or after what period, such as 2h (default now)")
	fl.Var(&f.until, "until", "of a signed code: when it ends, or for what period it is good, such as 90d (needed)")
	return cmd
}

func (f *mintFlags) run(cmd *cobra.Command, issuer, subject string) error {
	if err := checkIDs(issuer, subject); err != nil {
		return err
	}
	set := cmd.Flags().Changed
	switch {
	case f.signed && (f.watch || f.secretFile != ""):
		return usageError("a signed code is made by the origin, once: --signed goes with neither --watch nor --secret")
	case f.signed && !set("until"):
		return usageError("--signed needs --until, such as 90d")
	case !f.signed && (set("from") || set("until")):
		return usageError("--from and --until are of codes for paper; give --signed too")
	case f.watch && f.asJSON:
		return usageError("--watch prints for people; give it or --json")
	case f.signed:
		return f.sign(cmd, issuer, subject)
	}
	s, err := f.secret(cmd, issuer, subject)
	if err != nil {
		return err
	}
	key, err := secretOf(s)
	if err != nil {
		return err
	}
	mint := func(step uint32) string { return key.Mint(s.Issuer, byte(s.KeyID), []byte(s.Subject), step) }
	if f.watch {
		return watchCode(cmd.Context(), screenOf(cmd), mint)
	}
	return f.show(cmd, mint(passcode.Step(time.Now().Unix())))
}

// checkIDs reports ids that no issuer or subject has.
func checkIDs(issuer, subject string) error {
	if err := cache.CheckIssuer([]byte(issuer)); err != nil {
		return usageError("issuer %q: %w", issuer, err)
	}
	if err := cache.CheckSubject([]byte(subject)); err != nil {
		return usageError("subject %q: %w", subject, err)
	}
	return nil
}

// secret is the subject's, from the file or from the origin.
func (f *mintFlags) secret(cmd *cobra.Command, issuer, subject string) (s scanedge.SubjectSecret, err error) {
	if f.secretFile != "" {
		return readSecret(cmd.InOrStdin(), f.secretFile, issuer, subject)
	}
	operator, err := f.open()
	if err != nil {
		return s, err
	}
	sent := time.Now()
	if s, err = askSecret(cmd.Context(), operator, issuer, subject, ""); err != nil {
		return s, err
	}
	if off, ok := clockOff(s, sent, time.Now()); ok {
		cmd.PrintErrf("This machine's clock is %s the origin's: edges may refuse its codes.\n", off)
	}
	return s, nil
}

// clockOff says how far this machine's clock is off, if that is half a step or more.
func clockOff(s scanedge.SubjectSecret, sent, received time.Time) (string, bool) {
	server, err := time.Parse(time.RFC3339, s.ServerTime)
	off := sent.Add(received.Sub(sent) / 2).Sub(server)
	switch least := passcode.StepSeconds * time.Second / 2; {
	case err != nil || off.Abs() < least:
		return "", false
	case off < 0:
		return brief(-off) + " behind", true
	}
	return brief(off) + " ahead of", true
}

// readSecret reads what code secret --json printed.
func readSecret(in io.Reader, path, issuer, subject string) (s scanedge.SubjectSecret, err error) {
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return s, fmt.Errorf("read the secret: %w", err)
		}
		defer file.Close()
		in = file
	}
	if err := json.NewDecoder(in).Decode(&s); err != nil {
		return s, fmt.Errorf("read the secret from %s: %v; is it what scanedge code secret --json printed?", path, err)
	}
	if s.Issuer != issuer || s.Subject != subject {
		return s, usageError("the secret in %s is that of %s of issuer %s", path, printable(s.Subject), printable(s.Issuer))
	}
	return s, nil
}

func secretOf(s scanedge.SubjectSecret) (secret passcode.Secret, err error) {
	b, err := hex.DecodeString(s.Secret)
	if err != nil || len(b) != len(secret) || s.KeyID < 1 || s.KeyID > 255 {
		return secret, fmt.Errorf("the secret of %s of %s has %d bytes, not %d in hex digits, or a key id that is none", s.Subject, s.Issuer, len(b), len(secret))
	}
	return passcode.Secret(b), nil
}

// sign lets the origin make a signed code.
func (f *mintFlags) sign(cmd *cobra.Command, issuer, subject string) error {
	operator, err := f.open()
	if err != nil {
		return err
	}
	order := scanedge.CodeOrder{From: f.from.after(time.Now())}
	order.Until = f.until.after(order.From)
	if !order.Until.After(order.From) {
		return usageError("--until is %s, not after %s", order.Until.Format(time.RFC3339), order.From.Format(time.RFC3339))
	}
	var made scanedge.SignedCode
	err = operator.Call(cmd.Context(), fmt.Sprintf("sign a code of %s of %s", subject, issuer), http.MethodPost,
		issuerURL(issuer, "subjects", subject, "codes"), order, &made)
	if err != nil {
		return err
	}
	return f.show(cmd, made.Code)
}

// show prints the code alone, or all that lies in it.
func (f *mintFlags) show(cmd *cobra.Command, code string) error {
	var c passcode.Code
	if !passcode.Parse([]byte(code), &c) {
		return fmt.Errorf("what was made is no code: %s", printable(code))
	}
	return f.print(cmd, shownCodeOf(code, &c), func() error {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), code)
		return err
	})
}

// moment is a flag's time: one that stands, or a period after another.
type moment struct {
	at    time.Time // zero: there is none
	later period
}

// Set reads RFC 3339, or a period.
func (m *moment) Set(text string) error {
	at, err := time.Parse(time.RFC3339, text)
	if err == nil {
		*m = moment{at: at}
		return nil
	}
	if strings.Contains(text, "T") || m.later.Set(text) != nil {
		return fmt.Errorf("%q is neither a time such as 2027-01-31T20:00:00+08:00 nor a period such as 2h or 90d", text)
	}
	m.at = time.Time{}
	return nil
}

// String writes what was read.
func (m *moment) String() string {
	switch {
	case !m.at.IsZero():
		return m.at.Format(time.RFC3339)
	case m.later > 0:
		return m.later.String()
	}
	return ""
}

// Type names the flag's kind in the help.
func (m *moment) Type() string { return "time" }

// after is the time that stands, or the period after t.
func (m *moment) after(t time.Time) time.Time {
	if !m.at.IsZero() {
		return m.at
	}
	return t.Add(time.Duration(m.later))
}
