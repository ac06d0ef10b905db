// Command judge answers what Go and Helm make of templates: the functions that there are, and the trees that
// text/template/parse builds.
//
//	judge functions          the names of Helm's functions, one a line
//	judge trees < paths      for each path on stdin one line: its tree as JSON, or "error"
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	_ "unsafe" // for go:linkname

	_ "helm.sh/helm/v4/pkg/engine"
)

//go:linkname funcMap helm.sh/helm/v4/pkg/engine.funcMap
func funcMap() template.FuncMap

// builtins are the functions of text/template itself, which has no list of them to ask for.
var builtins = []string{"and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne", "not", "or", "print",
	"printf", "println", "slice", "urlquery"}

func main() {
	known := map[string]any{}
	for name := range funcMap() {
		known[name] = true
	}
	for _, name := range builtins {
		known[name] = true
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	if len(os.Args) > 1 && os.Args[1] == "functions" {
		for _, name := range slices.Sorted(maps.Keys(known)) {
			fmt.Fprintln(out, name)
		}
		return
	}
	paths := bufio.NewScanner(os.Stdin)
	for paths.Scan() {
		text, err := os.ReadFile(paths.Text())
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		// Helm drops invalid UTF-8 nowhere; such files are not compared.
		fmt.Fprintln(out, dump(string(text), known))
	}
}

func dump(text string, known map[string]any) string {
	tree := parse.New("main")
	tree.Mode = parse.ParseComments
	set := map[string]*parse.Tree{}
	if _, err := tree.Parse(text, "", "", set, known); err != nil {
		return "error"
	}
	trees := map[string]any{}
	for name, tree := range set {
		trees[name] = list(tree.Root)
	}
	encoded, err := json.Marshal(trees)
	if err != nil {
		return "error"
	}
	return string(encoded)
}

func list(nodes *parse.ListNode) []any {
	found := []any{}
	if nodes == nil {
		return found
	}
	for _, node := range nodes.Nodes {
		found = append(found, statement(node))
	}
	return found
}

func statement(node parse.Node) any {
	switch node := node.(type) {
	case *parse.TextNode:
		return []any{"text", node.Pos, len(node.Text)}
	case *parse.CommentNode:
		return []any{"comment", node.Pos, len(node.Text)}
	case *parse.ActionNode:
		return []any{"action", pipe(node.Pipe)}
	case *parse.IfNode:
		return branch("if", &node.BranchNode)
	case *parse.WithNode:
		return branch("with", &node.BranchNode)
	case *parse.RangeNode:
		return branch("range", &node.BranchNode)
	case *parse.TemplateNode:
		return []any{"template", node.Name, pipe(node.Pipe)}
	case *parse.BreakNode:
		return []any{"break"}
	case *parse.ContinueNode:
		return []any{"continue"}
	}
	return []any{"unknown", fmt.Sprintf("%T", node)}
}

func branch(kind string, node *parse.BranchNode) any {
	var otherwise any
	if node.ElseList != nil {
		otherwise = list(node.ElseList)
	}
	return []any{kind, pipe(node.Pipe), list(node.List), otherwise}
}

func pipe(node *parse.PipeNode) any {
	if node == nil {
		return nil
	}
	variables, commands := []any{}, []any{}
	for _, variable := range node.Decl {
		variables = append(variables, variable.Ident[0])
	}
	for _, command := range node.Cmds {
		words := []any{}
		for _, word := range command.Args {
			words = append(words, expression(word))
		}
		commands = append(commands, words)
	}
	return []any{node.IsAssign, variables, commands}
}

func expression(node parse.Node) any {
	switch node := node.(type) {
	case *parse.IdentifierNode:
		return []any{"function", node.Pos, node.Ident}
	case *parse.DotNode:
		return []any{"dot", node.Pos}
	case *parse.NilNode:
		return []any{"nil", node.Pos}
	case *parse.FieldNode:
		return []any{"field", strings.Join(node.Ident, ".")}
	case *parse.VariableNode:
		return []any{"variable", strings.Join(node.Ident, ".")}
	case *parse.ChainNode:
		return []any{"chain", expression(node.Node), strings.Join(node.Field, ".")}
	case *parse.BoolNode:
		return []any{"bool", node.Pos, node.True}
	case *parse.StringNode:
		return []any{"string", node.Pos, node.Text}
	case *parse.NumberNode:
		if node.IsInt && !strings.ContainsAny(node.Text, ".eEpP") || strings.HasPrefix(node.Text, "0x") && !strings.ContainsAny(node.Text, "pP") || node.Text[0] == '\'' {
			return []any{"int", node.Pos, node.Int64}
		}
		// Its bits, since the two sides write floats differently.
		return []any{"float", node.Pos, math.Float64bits(node.Float64)}
	case *parse.PipeNode:
		return []any{"pipe", pipe(node)}
	}
	return []any{"unknown", fmt.Sprintf("%T", node)}
}
