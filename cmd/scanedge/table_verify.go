package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge/cache"
)

func newTableVerifyCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Check that a snapshot is whole",
		Long: `verify reads a snapshot and checks all that an edge checks as it loads one: every checksum, that each entry lies where a
lookup will find it, counts and digests. It takes the memory of one section.

Exit status: 0 the snapshot is whole, 1 it is not or can't be read, 2 usage.`,
		Example: `  scanedge table verify demo-a.snapshot`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := verifySnapshot(args[0])
			if asJSON && v != nil {
				return errors.Join(printJSON(cmd.OutOrStdout(), v), err)
			}
			if err == nil {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is whole: issuer %s, %s, digest %s; %.1f s, %.2f GB/s\n",
					v.File, v.Issuer, many(int(v.Subjects), "subject"), v.Digest, v.Seconds, float64(v.Bytes)/1e9/v.Seconds)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as a JSON object")
	return cmd
}

// verified is what verify found.
type verified struct {
	File     string  `json:"file"`
	Whole    bool    `json:"whole"`
	Why      string  `json:"error,omitempty"` // it is not
	Issuer   string  `json:"issuer,omitempty"`
	Subjects uint64  `json:"subjects,omitempty"`
	Digest   string  `json:"digest,omitempty"`
	Bytes    int64   `json:"bytes"`
	Seconds  float64 `json:"seconds"`
}

// verifySnapshot returns an error also for a snapshot that is not whole, and nil with it where there was nothing to read.
func verifySnapshot(file string) (*verified, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	s, err := cache.VerifySnapshot(f)
	v := &verified{File: file, Whole: err == nil, Bytes: info.Size(), Seconds: time.Since(began).Seconds()}
	if err != nil {
		v.Why = err.Error()
		return v, fmt.Errorf("%s is not whole: %w", file, err)
	}
	v.Issuer, v.Subjects, v.Digest = s.Issuer, s.Subjects, s.Digest.String()
	return v, nil
}
