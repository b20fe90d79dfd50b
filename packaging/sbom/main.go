// Sbom prints what a Go program was built from as an SPDX 2.3 document: each module that is linked into it, with its
// version and its checksum, read from the program itself.
package main

import (
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Getenv("SOURCE_DATE_EPOCH"), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// run describes the programs that args name; epoch is the time of the document in seconds, so that two builds of one
// commit give the same bytes.
func run(args []string, epoch string, out io.Writer) error {
	flags := flag.NewFlagSet("sbom", flag.ContinueOnError)
	name := flags.String("name", "addagent", "what the package is called")
	version := flags.String("version", "", "its version")
	if err := flags.Parse(args); err != nil {
		return err
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH=%q is no number of seconds", epoch)
	}
	if flags.NArg() == 0 {
		return errors.New("name the programs")
	}
	var infos []*debug.BuildInfo
	for _, path := range flags.Args() {
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			return err
		}
		infos = append(infos, info)
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(describe(*name, *version, time.Unix(seconds, 0).UTC(), infos))
}

// The parts of https://spdx.github.io/spdx-spec/v2.3/ that are filled in.
type document struct {
	SPDXVersion   string         `json:"spdxVersion"`
	DataLicense   string         `json:"dataLicense"`
	ID            string         `json:"SPDXID"`
	Name          string         `json:"name"`
	Namespace     string         `json:"documentNamespace"`
	Creation      creation       `json:"creationInfo"`
	Packages      []pack         `json:"packages"`
	Relationships []relationship `json:"relationships"`
}

type creation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type pack struct {
	Name      string     `json:"name"`
	ID        string     `json:"SPDXID"`
	Version   string     `json:"versionInfo"`
	Download  string     `json:"downloadLocation"`
	Analyzed  bool       `json:"filesAnalyzed"`
	Concluded string     `json:"licenseConcluded"`
	Declared  string     `json:"licenseDeclared"`
	Copyright string     `json:"copyrightText"`
	Checksums []checksum `json:"checksums,omitempty"`
	Refs      []external `json:"externalRefs,omitempty"`
}

type checksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type external struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type relationship struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
}

const nobody = "NOASSERTION"

func describe(name, version string, at time.Time, infos []*debug.BuildInfo) document {
	const whole = "SPDXRef-Package"
	d := document{
		SPDXVersion: "SPDX-2.3", DataLicense: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: name + "-" + version,
		Namespace: "https://github.com/addagent/addagent/spdx/" + name + "-" + version,
		Creation:  creation{Created: at.Format(time.RFC3339), Creators: []string{"Tool: addagent-sbom"}},
		Packages: []pack{{Name: name, ID: whole, Version: version, Download: nobody, Concluded: "Apache-2.0",
			Declared: "Apache-2.0", Copyright: nobody}},
		Relationships: []relationship{{"SPDXRef-DOCUMENT", "DESCRIBES", whole}},
	}
	seen := map[string]bool{}
	add := func(path, version, sum, purl string) {
		if seen[path+"@"+version] {
			return
		}
		seen[path+"@"+version] = true
		p := pack{Name: path, ID: fmt.Sprintf("SPDXRef-Module-%d", len(d.Packages)), Version: version, Download: nobody,
			Concluded: nobody, Declared: nobody, Copyright: nobody, Refs: []external{{"PACKAGE-MANAGER", "purl", purl}}}
		if raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(sum, "h1:")); err == nil && len(raw) == 32 {
			p.Checksums = []checksum{{"SHA256", hex.EncodeToString(raw)}}
		}
		d.Packages = append(d.Packages, p)
		d.Relationships = append(d.Relationships, relationship{whole, "CONTAINS", p.ID})
	}
	for _, info := range infos {
		add("stdlib", strings.TrimPrefix(info.GoVersion, "go"), "", "pkg:golang/stdlib@"+strings.TrimPrefix(info.GoVersion, "go"))
		for _, m := range info.Deps {
			if m.Replace != nil {
				m = m.Replace
			}
			add(m.Path, m.Version, m.Sum, "pkg:golang/"+m.Path+"@"+m.Version)
		}
	}
	return d
}
