"""Small programs in each language: a right one that tries a toolchain, and known ones for an audit."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Samples:
    """Programs of one language: reads two integers and prints their sum; does nothing; runs into each limit."""

    total: str
    empty: str
    endless: str
    memory: str
    output: str


_C = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\nint main(void) {{\n    {}\n    return 0;\n}}\n"
_CPP = "#include <iostream>\n#include <vector>\nint main() {{\n    {}\n    return 0;\n}}\n"
_JAVA = "import java.util.*;\npublic class Main {{\n    public static void main(String[] args) {{\n{}\n    }}\n}}\n"
_GO = 'package main\n\nimport "fmt"\n\nfunc main() {{\n\tfmt.Print()\n\t{}\n}}\n'
_RUST = "use std::io::Read;\n\nfn main() {{\n    let mut text = String::new();\n    {}\n    text.clear();\n}}\n"

SAMPLES = {
    "c": Samples(
        total=_C.format('long a, b; if (scanf("%ld %ld", &a, &b) == 2) printf("%ld\\n", a + b);'),
        empty=_C.format(""),
        endless=_C.format("volatile long i = 0; for (;;) i++;"),
        memory=_C.format("for (;;) { char *p = malloc(1 << 20); if (!p) abort(); memset(p, 1, 1 << 20); }"),
        output=_C.format('for (;;) puts("no such output");'),
    ),
    "cpp": Samples(
        total=_CPP.format("long a, b; std::cin >> a >> b; std::cout << a + b << std::endl;"),
        empty=_CPP.format(""),
        endless=_CPP.format("volatile long i = 0; for (;;) i = i + 1;"),
        memory=_CPP.format("std::vector<std::vector<char>> kept; for (;;) kept.emplace_back(1 << 20, 1);"),
        output=_CPP.format('for (;;) std::cout << "no such output\\n";'),
    ),
    "java": Samples(
        total=_JAVA.format("Scanner in = new Scanner(System.in); System.out.println(in.nextLong() + in.nextLong());"),
        empty=_JAVA.format(""),
        endless=_JAVA.format("for (long i = 0; ; i++) if (i < 0) return;"),
        memory=_JAVA.format("List<long[]> kept = new ArrayList<>(); while (true) kept.add(new long[1 << 17]);"),
        output=_JAVA.format('while (true) System.out.println("no such output");'),
    ),
    "go": Samples(
        total=_GO.format("var a, b int; fmt.Scan(&a, &b); fmt.Println(a + b)"),
        empty=_GO.format(""),
        endless=_GO.format("for i := 0; ; i++ {\n\t}"),
        memory=_GO.format(
            "kept := [][]byte{}\n\tfor {\n\t\tb := make([]byte, 1<<20)\n\t\tfor i := range b {\n\t\t\tb[i] = 1\n\t\t}\n"
            "\t\tkept = append(kept, b)\n\t}"
        ),
        output=_GO.format('for {\n\t\tfmt.Println("no such output")\n\t}'),
    ),
    "rust": Samples(
        total=_RUST.format(
            "std::io::stdin().read_to_string(&mut text).unwrap();\n"
            '    println!("{}", text.split_whitespace().map(|word| word.parse::<i64>().unwrap()).sum::<i64>());'
        ),
        empty=_RUST.format("std::io::stdin().read_to_string(&mut text).unwrap();"),
        endless=_RUST.format("std::io::stdin().read_to_string(&mut text).unwrap(); loop { std::hint::spin_loop(); }"),
        memory=_RUST.format(
            "std::io::stdin().read_to_string(&mut text).unwrap();\n"
            "    let mut kept = Vec::new();\n    loop { kept.push(vec![1u8; 1 << 20]); if kept.is_empty() { break; } }"
        ),
        output=_RUST.format(
            'std::io::stdin().read_to_string(&mut text).unwrap();\n    loop { println!("no such output"); }'
        ),
    ),
    "javascript": Samples(
        total="const [a, b] = require('fs').readFileSync(0, 'utf8').split(/\\s+/).map(Number);\nconsole.log(a + b);\n",
        empty="const nothing = 0;\n",
        endless="for (let i = 0; ; i++);\n",
        memory="const kept = [];\nwhile (true) kept.push(new Array(1 << 17).fill(kept.length));\n",
        output="while (true) require('fs').writeSync(1, 'no such output\\n');\n",
    ),
}
