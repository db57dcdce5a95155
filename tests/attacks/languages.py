"""Hostile programs in other languages, each as one source, with the verdict that it must get.

Kinds: what a compiler may read (includes, embedded files, compiler plug-ins), what it may run (annotation processors,
build scripts, linker arguments), bombs that a compiler blows up, and what a compiled program may do: read, write,
fork, execute, connect, signal, start threads, eat memory, flood. Tokens as in ``case.py``.
"""

# ruff: noqa: E501 (programs stand as they are)

from dataclasses import dataclass

PASS, REJECT = "pass", "reject"


@dataclass(frozen=True)
class Foreign:
    """A program, and the verdict that it must get when ``ok`` is the right output."""

    name: str
    language: str
    source: str
    must: str = REJECT


def _c(name: str, body: str, must: str = REJECT, head: str = "") -> Foreign:
    includes = ("stdio", "stdlib", "string", "unistd", "fcntl", "signal", "dirent", "errno", "sys/socket", "sys/wait",
                "sys/syscall", "sys/mman", "sys/ptrace", "netinet/in", "arpa/inet", "sys/stat", "pthread")  # fmt: skip
    lines = "".join(f"#include <{name}.h>\n" for name in includes)
    source = f"#define _GNU_SOURCE\n{lines}{head}\nint main(void) {{\n{body}\n}}\n"
    return Foreign(name, "c", source, must)


def _c_if(name: str, worked: str) -> Foreign:
    """Describes a C program that is right only if its attempt has worked."""
    return _c(name, f'if ({worked}) puts("ok");\nreturn 0;')


def _cpp(name: str, head: str, body: str = 'puts("ok");', must: str = REJECT) -> Foreign:
    includes = "#include <cstdio>\n#include <stdexcept>\nusing namespace std;\n"
    return Foreign(name, "cpp", f"{includes}{head}\nint main() {{ {body} }}\n", must)


def _java(name: str, body: str, must: str = REJECT, head: str = "") -> Foreign:
    imports = "import java.io.*; import java.net.*; import java.nio.file.*; import java.util.*;"
    main = f"public static void main(String[] args) throws Throwable {{ {body} }}"
    return Foreign(name, "java", f"{imports}\n{head}\npublic class Main {{ {main} }}\n", must)


def _java_if(name: str, attempt: str) -> Foreign:
    return _java(name, f'{attempt} System.out.println("ok");')


def _go(name: str, imports: str, body: str, must: str = REJECT, head: str = "") -> Foreign:
    lines = "".join(f'import "{package}"\n' for package in ("fmt", *imports.split()))
    return Foreign(name, "go", f"package main\n{lines}{head}\nfunc main() {{\n{body}\n}}\n", must)


def _go_if(name: str, imports: str, attempt: str) -> Foreign:
    return _go(name, imports, f'_, err := {attempt}\nif err == nil {{ fmt.Println("ok") }}')


def _rust(name: str, body: str, must: str = REJECT, head: str = "") -> Foreign:
    return Foreign(name, "rust", f"{head}\nfn main() {{\n{body}\n}}\n", must)


def _rust_if(name: str, attempt: str) -> Foreign:
    return _rust(name, f'if ({attempt}).is_ok() {{ println!("ok"); }}')


def _js(name: str, body: str, must: str = REJECT) -> Foreign:
    return Foreign(name, "javascript", body, must)


def _js_if(name: str, attempt: str) -> Foreign:
    return _js(name, f"try {{ {attempt}; console.log('ok'); }} catch (error) {{ console.log(error.message); }}\n")


_PRINTED = "for (const char *p = text; *p; p++) putchar(*p);"
_DEEP = "template<int N> struct F { static constexpr long v = F<N-1>::v + F<N-2>::v + N; };"
_TYPES = (
    "template<class A, class B> struct P {}; template<int N, class T> struct G : G<N-1, P<T, T>>, P<T, G<N-1, T>> {};"
)

_COMPILERS_READ = (
    _c("include-passwords", 'puts("ok");', head='#include "/etc/passwd"'),
    _c("include-secret", 'puts("ok");', head='#include "@SECRET_FILE@"'),
    _c("include-proc", 'puts("ok");', head='#include "/proc/self/environ"'),
    _c("include-parent", 'puts("ok");', head='#include "../../../../../etc/passwd"'),
    _c("include-device", 'puts("ok");', head='#include "/dev/tty"'),
    _c("incbin-passwords", _PRINTED, head='extern char text[]; __asm__("text: .incbin \\"/etc/passwd\\"");'),
    _c("incbin-secret", _PRINTED, head='extern char text[]; __asm__("text: .incbin \\"@SECRET_FILE@\\"");'),
    _c("asm-include", 'puts("ok");', head='__asm__(".include \\"/etc/shadow\\"");'),
    _c("include-zeros", 'puts("ok");', head='#include "/dev/zero"'),
    _c("include-messages", 'puts("ok");', head='#include "messages"\n#include "/dev/fd/0"'),
    _c("has-include", "if (HAS) return puts(\"ok\") < 0; return 1;",
       head='#if __has_include("/etc/passwd")\n#define HAS 1\n#else\n#define HAS 0\n#endif'),
    Foreign("include-str", "rust", 'fn main() { println!("ok{}", &include_str!("/etc/passwd")[..0]); }\n'),
    Foreign("include-bytes", "rust", 'fn main() { if include_bytes!("@SECRET_FILE@").len() > 0 { println!("ok"); } }\n'),
    Foreign("include-path", "rust", '#[path = "/etc/passwd"]\nmod secret;\nfn main() { println!("ok"); }\n'),
    Foreign("option-env", "rust", 'fn main() { if option_env!("AWS_SECRET_ACCESS_KEY").is_some() { println!("ok"); } }\n'),
    Foreign("include-zeros", "rust", 'fn main() { println!("ok{}", include_bytes!("/dev/zero").len()); }\n'),
    Foreign("assembler-passwords", "rust", 'std::arch::global_asm!(".incbin \\"/etc/passwd\\"");\nfn main() { println!("ok"); }\n'),
    Foreign("link-passwords", "rust", '#[link(name = "../../../../etc/passwd", kind = "static")]\nextern "C" {}\nfn main() { println!("ok"); }\n'),
    Foreign("embed-build", "go", 'package main\nimport _ "embed"\n//go:embed *\nvar text string\nfunc main() { println("ok" + text[:0]) }\n'),
    Foreign("internal-package", "go", 'package main\nimport "internal/poll"\nfunc main() { _ = poll.FD{}; println("ok") }\n'),
    _java("read-as-source", 'int r = javax.tools.ToolProvider.getSystemJavaCompiler().run(null, null, null, "/etc/passwd", "@SECRET_FILE@"); if (r == 0) System.out.println("ok");'),
    Foreign("embed", "go", 'package main\nimport _ "embed"\n//go:embed /etc/passwd\nvar text string\nfunc main() { if text != "" { println() } }\n'),
    Foreign("embed-parent", "go", 'package main\nimport _ "embed"\n//go:embed ../etc/passwd\nvar text string\nfunc main() {}\n'),
    Foreign("cgo", "go", 'package main\n// #include "/etc/passwd"\nimport "C"\nfunc main() { println("ok") }\n'),
    Foreign("import-url", "go", 'package main\nimport "github.com/x/y"\nfunc main() { y.F() }\n'),
)  # fmt: skip

_COMPILERS_RUN = (
    _java("annotation-processor", 'System.out.println("o" + "k");', head="""
import javax.annotation.processing.*; import javax.lang.model.element.*; import javax.lang.model.SourceVersion;
@SupportedAnnotationTypes("*") class Evil extends AbstractProcessor {
  public boolean process(Set<? extends TypeElement> a, RoundEnvironment r) {
    try { Files.writeString(Path.of("@CANARY@/new"), "x"); } catch (IOException e) { } return false; } }
@Deprecated class Marked { }""", must=PASS),
    Foreign("other-output", "rust", '#![crate_type = "staticlib"]\nfn main() { println!("ok"); }\n'),
    Foreign("macro-crate", "rust", '#![crate_type = "proc-macro"]\nextern crate proc_macro;\n#[proc_macro]\npub fn f(_x: proc_macro::TokenStream) -> proc_macro::TokenStream { std::fs::write("@CANARY@/new", "x").unwrap(); "".parse().unwrap() }\n'),
    Foreign("other-package", "go", 'package other\nimport "fmt"\nfunc main() { fmt.Println("ok") }\n'),
    _c("own-loader", 'puts("ok");', head='__attribute__((section(".interp"))) const char loader[] = "/bin/sh";'),
    Foreign("go-generate", "go", 'package main\nimport "fmt"\n//go:generate touch @CANARY@/new\nfunc main() { fmt.Println("ok") }\n', PASS),
    Foreign("cgo-flags", "go", 'package main\n// #cgo LDFLAGS: -fplugin=/tmp/x.so\n// int f() { return 1; }\nimport "C"\nfunc main() { C.f(); println("ok") }\n'),
    Foreign("link-args", "rust", '#![feature(link_args)]\n#[link_args = "-Wl,--dynamic-linker=/tmp/x"]\nextern "C" {}\nfn main() { println!("ok"); }\n'),
    Foreign("no-std-dependency", "rust", 'extern crate serde;\nfn main() { println!("ok"); }\n'),
    _c("pragma-plugin", 'puts("ok");', head="#pragma GCC optimize(\"plugin=/tmp/x.so\")", must=PASS),
    _c("constructor-writes", 'puts("o");', head='__attribute__((constructor)) void f(void) { close(open("@CANARY@/new", O_CREAT | O_WRONLY, 0666)); }'),
    _c("heredoc-end", 'puts("o");', head="/*\nEOF\nMARK 0\n$(touch @CANARY@/new)\n`touch @CANARY@/new`\n*/"),
)  # fmt: skip

BOMBS = (  # that a compiler blows up
    _cpp("template-fibonacci", f"{_DEEP}\ntemplate<> struct F<0> {{ static constexpr long v = 0; }};"
         "template<> struct F<1> { static constexpr long v = 1; };", "printf(\"%ld\", F<899>::v);", must=REJECT),
    _cpp("template-without-end", "template<int N> struct F { static const int v = F<N + 1>::v; };", "return F<0>::v;"),
    _cpp("template-types", f"{_TYPES} template<class T> struct G<0, T> {{}};", "G<22, int> g; (void)g;", must=REJECT),
    _cpp("constexpr-loop", "constexpr long f() { long s = 0; for (long i = 0; i < 1L << 40; i++) s += i; return s; }",
         "constexpr long v = f(); printf(\"%ld\", v);"),
    _cpp("huge-constant", "char big[1L << 33] = {1};"),
    _cpp("include-itself", '#include __FILE__\n#include __FILE__'),
    _cpp("macro-laughs", "#define A x x x x x x x x x x\n#define B A A A A A A A A A A\n#define C B B B B B B B B B B\n"
         "#define D C C C C C C C C C C\n#define E D D D D D D D D D D\n#define F E E E E E E E E E E\n"
         "#define G F F F F F F F F F F\n#define H G G G G G G G G G G\nconst char *s = \"\" ; H"),
    _cpp("deep-brackets", f"int x = {'(' * 200_000}1{')' * 200_000};"),
    _c("huge-array", 'puts("ok");', head="char big[1L << 40];"),
    _c("rept", 'puts("ok");', head='__asm__(".rept 2000000000\\n.quad 1\\n.endr");'),
    _c("org", 'puts("ok");', head='__asm__(".data\\n.org 0x7fffffffff");'),
    Foreign("constant-loop", "rust", "const fn f() -> u64 { let mut i = 0; while i < 1 << 60 { i += 1; } i }\nconst X: u64 = f();\nfn main() { println!(\"{}\", X); }\n"),
    Foreign("macro-laughs", "rust", "macro_rules! a { ($($x:tt)*) => { a!($($x)* $($x)*) } }\nfn main() { a!(1); println!(\"ok\"); }\n"),
    Foreign("huge-static", "rust", "static X: [u8; 1 << 40] = [1; 1 << 40];\nfn main() { println!(\"ok{}\", X[0]); }\n"),
    Foreign("type-recursion", "rust", "trait T { fn f(&self); }\nimpl<A> T for Vec<A> { fn f(&self) { Vec::<Vec<A>>::new().f(); println!(\"ok\"); } }\nfn main() { Vec::<u8>::new().f(); }\n"),
    Foreign("huge-array", "go", "package main\nvar x [1 << 40]byte\nfunc main() { x[1] = 1; println(\"ok\") }\n"),
    Foreign("huge-constant", "go", "package main\nconst x = 1 << 100000000\nfunc main() { println(x >> 99999999) }\n"),
    Foreign("generic-cycle", "go", "package main\ntype P[A any] struct { a A }\nfunc g[A any](n int, a A) { if n > 0 { g(n-1, P[A]{a}) } }\nfunc main() { g(3, 1); println(\"ok\") }\n"),
    Foreign("modifiers", "java", "final " * 300_000 + "class Main { public static void main(String[] a) { System.out.println(\"ok\"); } }\n"),
    Foreign("big-literal", "java", "public class Main { static int[] x = {" + "1," * 200_000 + "}; public static void main(String[] a) { System.out.println(\"ok\"); } }\n"),
    _java("deep-expression", f"int x = {'(' * 20_000}1{')' * 20_000}; System.out.println(\"ok\");"),
    _java("generic-puzzle", "N<? super C<? super C<Integer>>> x = new N<C<C<Integer>>>(); x.toString();",
          head="class N<T> {} class C<X> extends N<N<? super C<C<X>>>> {}"),
    _js("regular-expression", "/^(a+)+$/.test('a'.repeat(60) + 'b'); console.log('ok');"),
    _js("deep-brackets", f"{'[' * 300_000}; console.log('ok');"),
)  # fmt: skip

_READ_AND_WRITE = (
    _c_if("read-passwords", 'open("/etc/passwd", O_RDONLY) >= 0'),
    _c_if("read-secret", 'open("@SECRET_FILE@", O_RDONLY) >= 0'),
    _c_if("list-proc", 'opendir("/proc") && readdir(opendir("/proc"))'),
    _c_if("list-root", 'opendir("/usr") != NULL'),
    _c_if("environment", 'getenv("AWS_SECRET_ACCESS_KEY") != NULL'),
    _c_if("other-descriptors", "fcntl(4, F_GETFD) >= 0 || fcntl(5, F_GETFD) >= 0 || fcntl(100, F_GETFD) >= 0"),
    _c_if("own-binary", "fcntl(3, F_GETFD) >= 0"),
    _c_if("write-new", 'open("@CANARY@/new", O_CREAT | O_WRONLY, 0666) >= 0'),
    _c_if("write-over", 'open("@CANARY@/keep", O_WRONLY | O_TRUNC) >= 0'),
    _c_if("change-mode", 'chmod("@CANARY@/keep", 0) == 0'),
    _c_if("standard-input-by-proc", 'open("/proc/self/fd/0", O_RDONLY) >= 0 && open("/proc/self/maps", O_RDONLY) >= 0'),
    _java_if("read-passwords", 'Files.readString(Path.of("/etc/passwd"));'),
    _java_if("read-proc", 'Files.readString(Path.of("/proc/1/cmdline"));'),
    _java_if("write", 'Files.writeString(Path.of("@CANARY@/new"), "x");'),
    _java("environment", 'if (System.getenv("AWS_SECRET_ACCESS_KEY") != null) System.out.println("ok");'),
    _go_if("read-passwords", "os", 'os.ReadFile("/etc/passwd")'),
    _go_if("read-proc", "os", 'os.ReadFile("/proc/self/maps")'),
    _go_if("write", "os", 'os.Create("@CANARY@/new")'),
    _java_if(
        "dump",
        '((com.sun.management.HotSpotDiagnosticMXBean) java.lang.management.ManagementFactory.getPlatformMXBean(com.sun.management.HotSpotDiagnosticMXBean.class)).dumpHeap("@CANARY@/new.hprof", true);',
    ),
    _java_if("other-processes", "if (ProcessHandle.allProcesses().count() < 2) throw new Error();"),
    _go(
        "environment",
        "os",
        'if os.Getenv("AWS_SECRET_ACCESS_KEY") != "" || len(os.Environ()) > 9 { fmt.Println("ok") }',
    ),
    _rust_if("read-passwords", 'std::fs::read("/etc/passwd")'),
    _rust_if("read-proc", 'std::fs::read_dir("/proc").map(|mut d| d.next().unwrap())'),
    _rust_if("write", 'std::fs::write("@CANARY@/new", "x")'),
    _js_if("read-passwords", "require('fs').readFileSync('/etc/passwd')"),
    _js_if("read-proc", "require('fs').readdirSync('/proc/1')"),
    _js_if("write", "require('fs').writeFileSync('@CANARY@/new', 'x')"),
    _js_if(
        "report", "if (!require('fs').existsSync(process.report.writeReport('@CANARY@/new'))) throw new Error('no')"
    ),
    _js_if("own-memory", "require('fs').readFileSync('/proc/self/mem')"),
    _js_if("program-descriptor", "require('fs').readFileSync(3)"),
    _js("import-file", "import('@SECRET_FILE@').then(() => console.log('ok'), error => console.log(error.code));\n"),
    _js_if("modules", "require('/usr/lib/node_modules/npm')"),
)

_OTHERS = (
    _c_if("fork", "fork() > 0"),
    _c_if("vfork", "syscall(SYS_vfork) >= 0"),
    _c_if("clone", "syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) >= 0"),
    _c_if("unshare", "syscall(SYS_unshare, 0x10000000) == 0"),
    _c_if("system", 'system("true") == 0'),
    _c("exec", 'execl("/bin/echo", "echo", "ok", NULL); return 0;'),
    _c("exec-memory", 'int f = syscall(SYS_memfd_create, "x", 0); if (f >= 0) puts("ok"); return 0;'),
    _c_if("signal-parent", "kill(getppid(), 0) == 0"),
    _c_if("signal-all", "kill(-1, 0) == 0"),
    _c_if("trace", "ptrace(PTRACE_TRACEME, 0, 0, 0) == 0"),
    _c_if("socket", "socket(AF_INET, SOCK_STREAM, 0) >= 0"),
    _c_if("socket-local", "socket(AF_UNIX, SOCK_DGRAM, 0) >= 0"),
    _c_if("io-ring", "syscall(SYS_io_uring_setup, 8, 0) >= 0"),
    _c_if("bpf", "syscall(SYS_bpf, 0, 0, 0) >= 0"),
    _c("thirty-two-bit", 'int r; __asm__ volatile("int $0x80" : "=a"(r) : "a"(20)); if (r > 0) puts("ok"); return 0;'),
    _c_if("signal-group", "kill(0, 0) == 0"),
    _c_if(
        "signal-any",
        "0 == ({ int n = 1; for (int i = 2; n && i < 70000; i++) if (i != getpid()) n = kill(i, 0) != 0; n; })",
    ),
    _c_if("descriptors-apart", "syscall(SYS_unshare, 0x400) == 0"),
    _c(
        "execute-by-descriptor",
        'int f = open("/proc/self/exe", O_RDONLY); char *a[] = {"x", NULL}; syscall(SYS_execveat, f < 0 ? AT_FDCWD : f, f < 0 ? "/usr/bin/env" : "", a, NULL, 0x1000); return 0;',
    ),
    _java_if(
        "library", 'System.load("/usr/lib/libpython3.so"); System.loadLibrary("jdwp"); new Socket("127.0.0.1", @PORT@);'
    ),
    _java_if("process", 'new ProcessBuilder("/bin/true").start().waitFor();'),
    _java_if("connect", 'new Socket("127.0.0.1", @PORT@);'),
    _java_if("listen", "new ServerSocket(0);"),
    _java_if("shell", 'Runtime.getRuntime().exec("true");'),
    _go("process", "os/exec", 'if exec.Command("/bin/true").Run() == nil { fmt.Println("ok") }'),
    _go_if("connect", "net", 'net.Dial("tcp", "127.0.0.1:@PORT@")'),
    _go_if("fork-exec", "syscall", 'syscall.ForkExec("/bin/true", nil, nil)'),
    _go(
        "raw-fork",
        "syscall",
        'r, _, e := syscall.RawSyscall(syscall.SYS_FORK, 0, 0, 0)\nif e == 0 && r > 0 { fmt.Println("ok") }',
    ),
    _go_if("trace", "syscall", "0, syscall.PtraceAttach(1)"),
    _go(
        "execute",
        "syscall",
        'fmt.Print()\nsyscall.Exec("/usr/bin/env", []string{"env"}, nil)\nsyscall.Exec("/bin/echo", []string{"echo", "ok"}, nil)',
    ),
    _rust_if("process", 'std::process::Command::new("/bin/true").status()'),
    _rust_if("connect", 'std::net::TcpStream::connect("127.0.0.1:@PORT@")'),
    _js_if("process", "if (require('child_process').spawnSync('/bin/true').status !== 0) throw new Error('no')"),
    _js_if(
        "spawn-inside",
        "process.binding('spawn_sync').spawn({ file: '/bin/true', args: [], stdio: [{ type: 'inherit', fd: 1 }] }).error && null.x",
    ),
    _js_if("native-module", "process.dlopen({ exports: {} }, '/lib/x86_64-linux-gnu/libc.so.6')"),
    _js(
        "inspector",
        "const i = require('inspector'); i.open(9229, '127.0.0.1'); console.log(i.url() ? 'ok' : 'no'); process.exit();\n",
    ),
    _js_if("debug-another", "process._debugProcess(process.ppid)"),
    _js("connect", "require('net').connect(@PORT@, '127.0.0.1', () => console.log('ok')).on('error', () => {});\n"),
    _js_if("kill", "process.kill(process.ppid, 0)"),
    _js_if("cluster", "require('cluster').fork(); throw new Error('no')"),
)

_LIMITS = (
    _c("thread-bomb", "pthread_t t; for (int i = 0; i < 100000; i++) if (pthread_create(&t, 0, f, 0)) abort(); pause();",
       head="void *f(void *x) { pause(); return x; }"),
    _c("stack", "return f(1);", head="int f(int n) { volatile char a[1 << 16]; a[n & 1] = n; return f(n + 1) + a[0]; }"),
    _c("map-bomb", "for (;;) { char *p = mmap(0, 1 << 24, 3, 0x22, -1, 0); if (p == MAP_FAILED) abort(); memset(p, 1, 1 << 24); }", "memory"),
    _c("shared-memory", "for (;;) { char *p = mmap(0, 1 << 24, 3, 0x21, -1, 0); if (p == MAP_FAILED) abort(); memset(p, 1, 1 << 24); }"),
    _c("memory-made-constant", "for (;;) { char *p = mmap(0, 1 << 24, 3, 0x22, -1, 0); if (p == MAP_FAILED) abort(); memset(p, 1, 1 << 24); mprotect(p, 1 << 24, 1); }"),
    _c("closes-everything", "for (int i = 0; i < 1000; i++) close(i); for (;;) ;", "timeout"),
    _c("ignores-signals", "for (int i = 1; i < 32; i++) signal(i, SIG_IGN); for (;;) ;", "timeout"),
    _c("sleeps", 'sleep(100); puts("ok"); return 0;', "timeout"),
    _c("errors-flood", "for (;;) write(2, \"no such output\\n\", 15);", "output"),
    _c("exit-status", 'puts("ok"); return 3;', "crash"),
    _c("division", 'volatile int z = 0; puts("ok"); fflush(stdout); return 7 / z;', "crash"),
    _c("null", 'puts("ok"); fflush(stdout); *(volatile int *)0 = 1; return 0;', "crash"),
    _cpp("throws", "", 'puts("ok"); fflush(stdout); throw runtime_error("x");', "crash"),
    _java("thread-bomb", "while (true) { Thread t = new Thread(() -> { while (true) Thread.yield(); }); t.setDaemon(false); t.start(); }"),
    _java("recursion", "f(0); System.out.println(\"ok\"); } static int f(int n) { return f(n + 1) + 1;", "crash"),
    _java("exit-status", 'System.out.println("ok"); System.exit(7);', "crash"),
    _java("direct-memory", "List<Object> k = new ArrayList<>(); while (true) k.add(java.nio.ByteBuffer.allocateDirect(1 << 24));", "memory"),
    _java("own-end", 'System.out.println("ok"); Runtime.getRuntime().halt(1);', "crash"),
    _java("end-that-hangs", 'Runtime.getRuntime().addShutdownHook(new Thread(() -> { while (true); })); System.out.println("ok");', "timeout"),
    _java("broken-machine", 'var f = sun.misc.Unsafe.class.getDeclaredField("theUnsafe"); f.setAccessible(true); System.out.println("ok"); System.out.flush(); ((sun.misc.Unsafe) f.get(null)).putLong(0L, 1L);', "crash"),
    *(_go(name, "syscall", f"fmt.Print()\nfor {{ b, e := syscall.Mmap(-1, 0, 1<<25, 3, {flags}); if e != nil {{ panic(e) }}; for i := 0; i < len(b); i += 4096 {{ b[i] = 1 }}; {more} }}", "memory")
      for name, flags, more in (("shared-memory", "0x21", ""), ("memory-made-constant", "0x22", "syscall.Mprotect(b, 1)"), ("memory-as-stack", "0x122", ""))),
    _go("goroutine-bomb", "", "fmt.Print()\nfor { go func() { select {} }() }"),
    _go("recursion", "", "fmt.Println(f(1))", head="func f(n int) int { return f(n+1) + 1 }"),
    _go("panics", "", 'fmt.Println("ok")\npanic("x")', "crash"),
    _rust("thread-bomb", "loop { std::thread::spawn(|| loop { std::thread::park(); }); }"),
    _rust("panics", 'println!("ok"); panic!("x");', "crash"),
    _rust("recursion", "fn f(n: u64) -> u64 { if n == 0 { 0 } else { f(n + 1) + 1 } } println!(\"{}\", f(1));"),
    _js("recursion", "function f(n) { return f(n + 1) + 1; } f(0); console.log('ok');\n", "crash"),
    _js("waits", "setInterval(() => {}, 1000); console.log('ok');\n", "timeout"),
    _js("buffers", "const k = []; for (;;) k.push(Buffer.alloc(1 << 24, 1));\n"),
    _js("exit-status", "console.log('ok'); process.exit(2);\n", "crash"),
    _js("shared-buffers", "const k = []; for (;;) { const b = new SharedArrayBuffer(1 << 24); new Uint8Array(b).fill(1); k.push(b); }\n"),
    _js("larger-heap", "require('v8').setFlagsFromString('--max-old-space-size=8000'); const k = []; for (;;) k.push(new Array(1 << 17).fill(k.length));\n"),
    _js("assembly-loop", "new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array([0,97,115,109,1,0,0,0,1,4,1,96,0,0,3,2,1,0,8,1,0,10,9,1,7,0,3,64,12,0,11,11]))); console.log('ok');\n", "timeout"),
    _js("end-that-hangs", "process.on('exit', () => { for (;;); }); console.log('ok');\n", "timeout"),
    _js("kills-itself", "console.log('ok'); process.kill(process.pid, 'SIGKILL');\n", "crash"),
    _js("worker-bomb", "const { Worker } = require('worker_threads'); for (;;) new Worker('for (;;);', { eval: true });\n"),
    _js("rejects", "console.log('ok'); Promise.reject(new Error('x'));\n", "crash"),
)  # fmt: skip

CASES = (*_COMPILERS_READ, *_COMPILERS_RUN, *BOMBS, *_READ_AND_WRITE, *_OTHERS, *_LIMITS)
