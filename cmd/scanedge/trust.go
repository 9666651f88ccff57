package main

import (
	"cmp"
	"crypto/x509"
	"os"

	"github.com/spf13/cobra"
)

// caFlag names the authority that servers at https addresses are verified against.
type caFlag string

func (c *caFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar((*string)(c), "ca", "", "certificate of the origin's CA (ca/cert.pem of its folder), for https:// addresses")
}

// trust reads the authority, that of the fleet if none is named, and hands it to a client's TrustCA. Without either the client
// believes whom this machine believes.
func (c caFlag) trust(ofFleet string, trustCA func(*x509.CertPool)) error {
	path := cmp.Or(string(c), ofFleet)
	if path == "" {
		return nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return usageError("read the CA's certificate, as --ca or --up names it: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return usageError("--ca is %q, which holds no certificate; give ca/cert.pem of the origin's folder", path)
	}
	trustCA(pool)
	return nil
}
