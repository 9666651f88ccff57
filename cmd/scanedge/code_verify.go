package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge"
	"github.com/scanedge/scanedge/edge/passcode"
	"github.com/scanedge/scanedge/sync/origin"
)

// checkedCode is what code verify found, as JSON.
type checkedCode struct {
	Valid  bool                 `json:"valid"`
	Error  scanedge.ProblemType `json:"error,omitempty"`
	AheadS int64                `json:"ahead_s,omitempty"` // with clock-ahead
	*shownCode
}

func newCodeVerifyCmd() *cobra.Command {
	var f operatorFlags
	cmd := &cobra.Command{
		Use:   "verify CODE",
		Short: "Check a code as an edge does, but for the subject's status",
		Long: `verify asks the origin for what a code's issuer has settled, for the subject's secret or the issuer's public key, and checks the code with
it here, by this machine's clock. It prints valid, or the word that an edge would refuse the code with. The subject's status is not
looked up: scanedge scan does that, and scanedge subject.

With - the code comes from standard input.

Exit status: 0 valid, 1 not, or the origin could not be asked; 2 usage.`,
		Example: `  scanedge code verify SE1.DEMO-A.AEBZCV4MMQYDAMBQGAYDAMBRK7MKX6DNCJ7YEADE
  scanedge code mint demo-a d000000001 | scanedge code verify -`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return verifyCode(cmd, &f, args[0]) },
	}
	f.add(cmd)
	return cmd
}

// verifyCode prints what came of it. Its error is silent when that has said it all.
func verifyCode(cmd *cobra.Command, f *operatorFlags, arg string) error {
	operator, err := f.open()
	if err != nil {
		return err
	}
	text, c, err := codeGiven(cmd.InOrStdin(), arg)
	now := time.Now()
	found := checkedCode{Error: scanedge.MalformedCode}
	if err == nil {
		shown := shownCodeOf(text, c)
		found.shownCode = &shown
		if found.Error, err = checkCode(cmd.Context(), operator, text, c, now); err != nil {
			return err
		}
	}
	if found.Error == scanedge.ClockAhead {
		found.AheadS = c.Ahead(now.Unix())
	}
	found.Valid = found.Error == ""
	err = f.print(cmd, found, func() error {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), found.describe(now))
		return err
	})
	if err == nil && !found.Valid {
		err = &exitError{code: exitFailure}
	}
	return err
}

// describe reads like "valid  rolling code of d000000001 of demo-a, 12s left".
func (v checkedCode) describe(now time.Time) string {
	text := "valid"
	if !v.Valid {
		text = string(v.Error) + "  " + v.Error.Title()
	}
	if v.shownCode == nil {
		return text
	}
	text += fmt.Sprintf("  %s code of %s of %s", v.Form, printable(v.Subject), v.Issuer)
	if !v.From.IsZero() {
		text += ", " + standing(*v.shownCode, now)
	}
	return text
}

// checkCode returns the word that an edge would refuse the code with at a time, "" for none.
func checkCode(ctx context.Context, operator *scanedge.Operator, text string, c *passcode.Code, now time.Time) (scanedge.ProblemType, error) {
	issuer := string(c.Issuer())
	var settled origin.IssuerDetail
	err := operator.Call(ctx, "look at issuer "+issuer, http.MethodGet, issuerURL(issuer), nil, &settled)
	if problemOf(err, scanedge.UnknownIssuer) != nil {
		return scanedge.IssuerNotHeld, nil
	}
	if err != nil {
		return "", err
	}
	genuine := false
	switch c.Kind {
	case passcode.Plain:
		if !settled.Policy.Plain {
			return scanedge.PlainForbidden, nil
		}
		return "", nil
	case passcode.Signed:
		genuine = c.VerifySignature(settled.PublicKey)
	case passcode.Rolling:
		if slices.Contains(settled.CodeKeys, int(c.KeyID)) {
			genuine, err = mintedBySubject(ctx, operator, text, c)
		}
	}
	if err != nil || !genuine {
		return scanedge.ForgedCode, err
	}
	ring := passcode.Keyring{Window: uint32(settled.Policy.CodeWindowSteps)}
	switch ring.Standing(c, now.Unix()) {
	case passcode.Expired:
		return scanedge.CodeExpired, nil
	case passcode.Ahead:
		return scanedge.ClockAhead, nil
	case passcode.Early:
		return scanedge.NotYetValid, nil
	}
	return "", nil
}

// mintedBySubject reports whether the subject's secret makes the code, by the key that the code names.
func mintedBySubject(ctx context.Context, operator *scanedge.Operator, text string, c *passcode.Code) (bool, error) {
	issuer := string(c.Issuer())
	s, err := askSecret(ctx, operator, issuer, string(c.Subject()), "?key_id="+strconv.Itoa(int(c.KeyID)))
	if err != nil {
		return false, err
	}
	secret, err := secretOf(s)
	return err == nil && secret.Mint(issuer, c.KeyID, c.Subject(), c.Step) == text, err
}
