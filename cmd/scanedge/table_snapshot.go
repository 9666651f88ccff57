package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/scanedge/scanedge/cache"
)

func newTableInspectCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Show a snapshot's header and how full its sections are",
		Long: `inspect shows what a snapshot says of itself: whose table it is and under which seed, which batches of the log make it
exact, how many subjects it holds and how full its sections are. It reads and checks the heads alone; verify checks all.

Exit status: 0 shown, 1 the file can't be read or is no snapshot, 2 usage.`,
		Example: `  scanedge table inspect demo-a.snapshot`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := inspectSnapshot(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), s)
			}
			return s.text(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print it as a JSON object, each section in it")
	return cmd
}

// inspected is a snapshot as inspect shows it.
type inspected struct {
	File     string             `json:"file"`
	Bytes    int64              `json:"bytes"`
	Issuer   string             `json:"issuer"`
	Seed     string             `json:"seed_id"`
	Began    uint64             `json:"began"`
	Hash     string             `json:"hash"` // of the batch there
	To       uint64             `json:"to"`
	Subjects uint64             `json:"subjects"`
	Slots    uint64             `json:"slots"`
	Fill     float64            `json:"fill"` // of the slots
	Digest   string             `json:"digest"`
	Sections []inspectedSection `json:"sections"`
}

type inspectedSection struct {
	Shard    int     `json:"shard"`
	Subjects uint64  `json:"subjects"`
	Slots    uint64  `json:"slots"`
	Fill     float64 `json:"fill"`
	Offset   uint64  `json:"offset"`
	Digest   string  `json:"digest"`
	Bytes    int64   `json:"bytes"`
}

func inspectSnapshot(file string) (*inspected, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s, err := cache.InspectSnapshot(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	shown := &inspected{
		File: file, Issuer: s.Issuer, Seed: s.Seed.String(), Began: s.Began.Offset, Hash: hex.EncodeToString(s.Began.Hash[:]), To: s.To, Subjects: s.Subjects, Digest: s.Digest.String(),
	}
	if shown.Bytes, err = f.Seek(0, io.SeekEnd); err != nil {
		return nil, err
	}
	for _, section := range s.Sections {
		shown.Slots += section.Slots()
		shown.Sections = append(shown.Sections, inspectedSection{
			section.Shard, section.Subjects, section.Slots(), fillOf(section.Subjects, section.Slots()), section.Offset,
			section.Digest.String(), section.Bytes(),
		})
	}
	shown.Fill = fillOf(shown.Subjects, shown.Slots)
	return shown, nil
}

// fillOf is how much of the room subjects take, from 0 to 1.
func fillOf(subjects, slots uint64) float64 { return float64(subjects) / float64(max(slots, 1)) }

func (s *inspected) text(w io.Writer) error {
	fewest, most := s.Sections[0], s.Sections[0]
	emptiest, fullest := fewest, fewest
	for _, section := range s.Sections {
		if section.Subjects < fewest.Subjects {
			fewest = section
		}
		if section.Subjects > most.Subjects {
			most = section
		}
		if section.Fill < emptiest.Fill {
			emptiest = section
		}
		if section.Fill > fullest.Fill {
			fullest = section
		}
	}
	_, err := fmt.Fprintf(w, `issuer    %s
seed id   %s
began     at offset %d (%.8s); exact once the log's batches after it, up to %d, are applied
subjects  %s
digest    %s
sections  %d, of %s to %s subjects
fill      %.1f %% of %s slots; %.1f to %.1f %% a section
size      %s bytes
`, s.Issuer, s.Seed, s.Began, s.Hash, s.To, grouped(int(s.Subjects)), s.Digest, len(s.Sections),
		grouped(int(fewest.Subjects)), grouped(int(most.Subjects)), 100*s.Fill, grouped(int(s.Slots)), 100*emptiest.Fill, 100*fullest.Fill,
		grouped(int(s.Bytes)))
	return err
}
