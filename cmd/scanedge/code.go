package main

import "github.com/spf13/cobra"

func newCodeCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "code",
		Short: "What holders show at a gate: make codes, look into them, check them",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCodeSecretCmd(), newCodeMintCmd(), newCodeShowCmd(), newCodeVerifyCmd())
	return cmd
}
