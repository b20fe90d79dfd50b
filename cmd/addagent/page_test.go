package main

import (
	"fmt"
	"regexp"
	"strings"
)

// A page is one document, written as a manual page and as Markdown.
type page struct {
	name     string // addagent-log
	number   int    // of the manual's section
	short    string
	sections []section
	words    []string // placeholders: REPO, ITEM, ...
}

type section struct {
	title  string
	blocks []block
}

// block is a paragraph (text), lines as they are (code), or a term and its text.
type block struct{ text, code, term string }

func (p *page) add(title string, blocks ...block) {
	if len(blocks) > 0 {
		p.sections = append(p.sections, section{title, blocks})
	}
}

var (
	flagWord = regexp.MustCompile("(^|[\\s(\\[\"`])(--?[a-z][a-z-]*)")
	// mdSpecial is what Markdown would take for markup in running text.
	mdSpecial = strings.NewReplacer("<", "&lt;", ">", "&gt;", "*", `\*`, "_", `\_`, "`", "\\`", "|", `\|`)
)

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
func (p *page) roffLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	s = roffText(flagWord.ReplaceAllString(s, "$1\x01$2\x02"))
	for _, w := range p.words {
		s = regexp.MustCompile(`\b`+w+`\b`).ReplaceAllString(s, "\x03"+w+"\x02")
	}
	return strings.NewReplacer("\x01", `\fB`, "\x02", `\fR`, "\x03", `\fI`).Replace(s)
}

// roff is the manual page. No date in it: it changes when the text does, never else.
func (p *page) roff() string {
	var b strings.Builder
	fmt.Fprintf(&b, ".\\\" %s\n.TH \"%s\" \"%d\" \"\" \"addagent\" \"addagent manual\"\n.nh\n.ad l\n", madeBy, strings.ToUpper(roffText(p.name)), p.number)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roffText(p.name), roffText(p.short))
	for _, s := range p.sections {
		fmt.Fprintf(&b, ".SH \"%s\"\n", s.title)
		for i, bl := range s.blocks {
			switch {
			case bl.code != "":
				if i > 0 {
					b.WriteString(".PP\n")
				}
				b.WriteString(".nf\n.RS 4\n")
				for line := range strings.Lines(bl.code) {
					b.WriteString(roffText(strings.TrimSuffix(line, "\n")) + "\n")
				}
				b.WriteString(".RE\n.fi\n")
			case bl.term != "":
				fmt.Fprintf(&b, ".TP\n%s\n%s\n", p.roffTerm(bl.term), p.roffLine(bl.text))
			default:
				if i > 0 {
					b.WriteString(".PP\n")
				}
				if s.title == "SYNOPSIS" {
					b.WriteString(p.roffTerm(bl.text) + "\n")
				} else {
					b.WriteString(p.roffLine(bl.text) + "\n")
				}
			}
		}
	}
	return b.String()
}

// roffTerm is a term: bold, its placeholders italic.
func (p *page) roffTerm(s string) string {
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
func (p *page) markdown(depth int) string {
	var b strings.Builder
	for _, s := range p.sections {
		if s.title != "SYNOPSIS" && s.title != "DESCRIPTION" {
			title := s.title[:1] + strings.ToLower(s.title[1:])
			fmt.Fprintf(&b, "%s %s\n\n", strings.Repeat("#", depth), title)
		}
		for i, bl := range s.blocks {
			switch {
			case bl.code != "":
				fmt.Fprintf(&b, "```\n%s\n```\n\n", strings.TrimRight(bl.code, "\n"))
			case s.title == "SYNOPSIS":
				fmt.Fprintf(&b, "```\n%s\n```\n\n", bl.text)
			case bl.term != "":
				if i == 0 || s.blocks[i-1].term == "" {
					b.WriteString("| | |\n|---|---|\n")
				}
				fmt.Fprintf(&b, "| `%s` | %s |\n", strings.ReplaceAll(bl.term, "|", `\|`), mdLine(bl.text))
				if i == len(s.blocks)-1 || s.blocks[i+1].term == "" {
					b.WriteString("\n")
				}
			default:
				b.WriteString(mdLine(bl.text) + "\n\n")
			}
		}
	}
	return b.String()
}
