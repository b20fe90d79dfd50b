package clitest

import (
	"fmt"
	"regexp"
	"strings"
)

// A Page is one document, written as a manual page and as Markdown.
type Page struct {
	Name     string // addagent-log
	Number   int    // of the manual's section
	Short    string
	sections []section
	words    []string // placeholders: REPO, ITEM, ...
}

type section struct {
	title  string
	blocks []Block
}

// Block is a paragraph (Text), lines as they are (Code), or a Term and its Text.
type Block struct{ Text, Code, Term string }

// Add adds a section; one without blocks is left out.
func (p *Page) Add(title string, blocks ...Block) {
	if len(blocks) > 0 {
		p.sections = append(p.sections, section{title, blocks})
	}
}

var (
	flagWord = regexp.MustCompile("(^|[\\s(\\[\"`])(--?[a-z][a-z-]*)")
	// mdSpecial is what Markdown would take for markup in running text.
	mdSpecial = strings.NewReplacer("<", "&lt;", ">", "&gt;", "*", `\*`, "_", `\_`, "`", "\\`", "|", `\|`)
)

// Markdown escapes text for Markdown.
func Markdown(s string) string { return mdSpecial.Replace(s) }

// roffText escapes text for troff: a dot or a quote that begins a line would be a
// request, and a dash that people copy must stay a dash.
func roffText(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "^", `\(ha`, "~", `\(ti`, "`", `\(ga`).Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}

// roffLine is running text: flags bold, placeholders italic.
func (p *Page) roffLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	s = roffText(flagWord.ReplaceAllString(s, "$1\x01$2\x02"))
	for _, w := range p.words {
		s = regexp.MustCompile(`\b`+w+`\b`).ReplaceAllString(s, "\x03"+w+"\x02")
	}
	return strings.NewReplacer("\x01", `\fB`, "\x02", `\fR`, "\x03", `\fI`).Replace(s)
}

// roff is the manual page of a program. No date in it: it changes when the text does, never else.
func (p *Page) roff(program, madeBy string) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".\\\" %s\n.TH \"%s\" \"%d\" \"\" \"%s\" \"%s manual\"\n.nh\n.ad l\n", madeBy, strings.ToUpper(roffText(p.Name)), p.Number, program, program)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roffText(p.Name), roffText(p.Short))
	for _, s := range p.sections {
		fmt.Fprintf(&b, ".SH \"%s\"\n", s.title)
		for i, bl := range s.blocks {
			switch {
			case bl.Code != "":
				if i > 0 {
					b.WriteString(".PP\n")
				}
				b.WriteString(".nf\n.RS 4\n")
				for line := range strings.Lines(bl.Code) {
					b.WriteString(roffText(strings.TrimSuffix(line, "\n")) + "\n")
				}
				b.WriteString(".RE\n.fi\n")
			case bl.Term != "":
				fmt.Fprintf(&b, ".TP\n%s\n%s\n", p.roffTerm(bl.Term), p.roffLine(bl.Text))
			default:
				if i > 0 {
					b.WriteString(".PP\n")
				}
				if s.title == "SYNOPSIS" {
					b.WriteString(p.roffTerm(bl.Text) + "\n")
				} else {
					b.WriteString(p.roffLine(bl.Text) + "\n")
				}
			}
		}
	}
	return b.String()
}

// roffTerm is a term: bold, its placeholders italic.
func (p *Page) roffTerm(s string) string {
	s = roffText(s)
	for _, w := range p.words {
		s = regexp.MustCompile(`\b`+w+`\b`).ReplaceAllString(s, `\fI`+w+`\fB`)
	}
	return `\fB` + s + `\fR`
}

// mdLine is running text: flags as code.
func mdLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	s = mdSpecial.Replace(flagWord.ReplaceAllString(s, "$1\x01$2\x01"))
	return strings.ReplaceAll(s, "\x01", "`")
}

// markdown is the page below a heading of that depth. Terms are a table.
func (p *Page) markdown(depth int) string {
	var b strings.Builder
	for _, s := range p.sections {
		if s.title != "SYNOPSIS" && s.title != "DESCRIPTION" {
			title := s.title[:1] + strings.ToLower(s.title[1:])
			fmt.Fprintf(&b, "%s %s\n\n", strings.Repeat("#", depth), title)
		}
		for i, bl := range s.blocks {
			switch {
			case bl.Code != "":
				fmt.Fprintf(&b, "```\n%s\n```\n\n", strings.TrimRight(bl.Code, "\n"))
			case s.title == "SYNOPSIS":
				fmt.Fprintf(&b, "```\n%s\n```\n\n", bl.Text)
			case bl.Term != "":
				if i == 0 || s.blocks[i-1].Term == "" {
					b.WriteString("| | |\n|---|---|\n")
				}
				fmt.Fprintf(&b, "| `%s` | %s |\n", strings.ReplaceAll(bl.Term, "|", `\|`), mdLine(bl.Text))
				if i == len(s.blocks)-1 || s.blocks[i+1].Term == "" {
					b.WriteString("\n")
				}
			default:
				b.WriteString(mdLine(bl.Text) + "\n\n")
			}
		}
	}
	return b.String()
}
