"""Equal and unequal answers, kind by kind: what is read is read whole, and only what is equal passes."""

import pytest

from sampling.policy import MathPolicy
from verify.math.verifier import equal_answers

# One pair a line: y or n, the right answer, the written one
# Congruences: name, remainder and modulus; never the remainder alone
CONGRUENCES = r"""
y|n \equiv 1 \pmod 4|n\equiv 5\pmod{4}
n|n \equiv 1 \pmod 4|n\equiv 1\pmod{8}
y|x \equiv 3 \pmod{7}|x \equiv 3 \ (\text{mod}\ 7)
y|x \equiv 3 \pmod{7}|x \equiv 3 \ (\mathrm{mod}\ 7)
n|3 \pmod 7|4 \pmod 7
y|n \equiv 1 \pmod 4|1 \pmod{4}
n|n \equiv 1 \pmod 4|1
n|7|7\text{ mod }8
n|7|7 mod 8
n|7|7\mod 8
n|7|7 \bmod 8
n|p \mid n|p \nmid n
y|3 \mid n|3 \mid n
n|3 \mid n|3
"""

# Repeating decimals: every digit under the bar
REPEATING = r"""
y|0.\overline{3}|\frac13
y|0.\overline{142857}|\frac{1}{7}
n|0.\overline{14}|0.\overline{15}
n|0.1\overline{6}|0.\overline{16}
y|1.\overline{3}|\frac{4}{3}
y|0.\overline{3}|0.(3)
y|0.\overline{3}|0.\bar{3}
y|0.\overline{3}|0.\dot{3}
n|0.\overline{3}|0.3
"""

# Vectors, matrices and cases: every entry
MATRICES = r"""
y|\langle 1,2,3\rangle|\langle 1, 2, 3 \rangle
n|\langle 1,2,3\rangle|\langle 1, 2, 4 \rangle
y|\langle 1,2,3\rangle|(1,2,3)
y|\begin{pmatrix}1\\2\end{pmatrix}|\left[\begin{array}{c}1\\2\end{array}\right]
n|\begin{pmatrix}1\\2\end{pmatrix}|\begin{pmatrix}1&2\end{pmatrix}
y|\begin{pmatrix}\frac12&0\\0&1\end{pmatrix}|\begin{bmatrix}0.5&0\\0&1\end{bmatrix}
n|\begin{pmatrix}1&2\\3&4\end{pmatrix}|\begin{pmatrix}1&2\\3&-4\end{pmatrix}
n|\begin{vmatrix}1&2\\3&4\end{vmatrix}|\begin{pmatrix}1&2\\3&4\end{pmatrix}
y|\begin{cases}x=1\\y=2\end{cases}|\begin{cases}x=1\\y=2\end{cases}
n|\begin{cases}x=1\\y=2\end{cases}|\begin{cases}x=1\\y=3\end{cases}
n|\begin{cases}x^2&x>0\\0&x\le0\end{cases}|\begin{cases}x^2&x>0\\1&x\le0\end{cases}
y|\begin{cases}x^2&x>0\\0&x\le0\end{cases}|\begin{cases} x^{2} & x > 0 \\ 0 & x \leq 0 \end{cases}
"""

# Bases: digits and base
BASES = r"""
n|1010_2|1011_2
y|123_5|123_{5}
n|123_5|123_6
n|123_5|124_5
y|\text{A3}_{16}|A3_{16}
n|\text{A3}_{16}|A4_{16}
n|7|7_{10}
n|2^{\aleph_0}|2
"""

# Intervals, unions, inequalities and sets
SETS = r"""
y|[1,2)|\left[1,2\right)
y|(-\infty, 3)|x<3
n|(-\infty, 3)|x\le3
y|[0,\infty)|x \geq 0
y|(-1,3]|-1 < x \le 3
y|(-1,3]|3 \ge x > -1
n|(-1,3]|-1 \le x \le 3
y|(-\infty,-1)\cup(1,\infty)|x<-1 \text{ or } x>1
n|(-\infty,-1)\cup(1,\infty)|x<-1 \text{ or } x>2
y|(-\infty,0)\cup(0,\infty)|\mathbb{R}\setminus\{0\}
y|(-\infty,0)\cup(0,\infty)|x\ne0
n|(-\infty,0)\cup(0,\infty)|\mathbb{R}
y|[1,3]\cup[2,5]|[1,5]
y|[1,2]\cup\{3\}|\{3\}\cup[1,2]
y|x\in[1,2]|[1,2]
y|[1,2]|1\le x\le 2
y|x>3|x>3
n|x>3|x<3
n|x>3|y>3
y|x>3|3<x
y|2x>6|x>3
n|-2x>6|x>-3
y|-2x>6|x<-3
y|x+y\le 2|2\ge x+y
n|x+y\le2|x+y<2
y|\{1,2,3\}|\{3,2,1\}
n|\{1,2,3\}|\{1,2\}
n|\{1,2\}|(1,2)
y|\{x \mid x>3\}|\{x \mid x > 3\}
n|\{x \mid x>3\}|\{x \mid x > 4\}
y|2\frac{1}{3}\text{ cups}|\frac73
n|12|12\neq 13
n|7|\{7
y|\emptyset|\varnothing
y|\text{No solution}|\text{no solutions}
n|\emptyset|0
y|\mathbb{Z}|\mathbb{Z}
n|\mathbb{Z}|\mathbb{R}
"""

# Times of day and ratios
TIMES = r"""
y|12:05|12:05
n|12:05|12:06
n|1:30|2:60
y|3:00\text{ p.m.}|3:00 \text{ pm}
n|3:00\text{ a.m.}|3:00 \text{ p.m.}
y|2:3|\frac23
y|2:3|4:6
n|2:3|3:2
"""

# Units, scales and words behind a number
UNITS = r"""
n|5|5\text{ million}
y|5{,}000{,}000|5\text{ million}
y|5 \text{ million}|5\text{ million dollars}
y|5\text{ million}|\$5\text{ million}
n|5\text{ million}|5\text{ billion}
n|5\text{ million}|5
n|5|5 million
y|5 million|5000000
y|\$12.50|12.5
y|12 \text{ dollars}|\$12
n|12|12\text{ or }13
n|12|12 \text{ and } 13
n|12|\text{between }12\text{ and }13
n|12|12\text{ if }n=3
n|7|\text{not }7
n|7|7\text{ is wrong}
y|7|7 \text{ (exactly)}
y|7|7\text{ square units}
y|7|7~\text{m}^2
y|7|7\,\mathrm{km/h}
y|7|7\ \frac{\text{m}}{\text{s}}
y|7|7\text{ m/s}^2
y|7|7 m/s
y|7|7 cm^2
y|7|7 cm
y|7|7cm
n|7 \text{ cm}|7\text{ km}
y|7 \text{ cm}|7\text{ centimeters}
y|7 \text{ inches}|7\text{ in}
y|7\text{ hours}|7\text{ hr}
n|7\text{ hours}|7\text{ minutes}
y|\text{Monday}|monday
y|\text{Yes}|yes
n|\text{Yes}|No
y|\text{even}|\text{Even}
y|3,4|4 \text{ and } 3
y|3, 4|x=3 \text{ or } x=4
n|3, 4|x=3 \text{ or } x=5
y|90^\circ|90\text{ degrees}
y|\text{ellipse}|\text{an ellipse}
"""

# Equations and what they say of a name
EQUATIONS = r"""
y|\frac{x^2}{4}+\frac{y^2}{9}=1|9x^2+4y^2=36
n|\frac{x^2}{4}+\frac{y^2}{9}=1|\frac{x^2}{9}+\frac{y^2}{4}=1
n|\frac{x^2}{4}+\frac{y^2}{9}=1|\frac{x^2}{4}-\frac{y^2}{9}=1
y|(x-1)^2+(y+2)^2=9|x^2-2x+y^2+4y-4=0
y|y=2x+1|y-1=2x
n|y=2x+1|y=2x-1
y|y = 2x+1|2x+1
y|f(x)=x^2|x^2
n|f(x)=x^2|g(x)=x^2
n|f(x)=x+1|f(x)=x-1
y|3x-y+13=0|y=3x+13
y|a_n=2n+1|2n+1
n|a_n=2n+1|a_n=2n-1
n|12|12=13
y|12|3\cdot4=12
n|12|12=3\cdot 5
y|12|x=12
y|12|n=12
y|107|m+n=107
n|5|x^2=5
n|5|2x=5
y|(3,4)|x=3,y=4
y|x=\pm 3|\pm 3
y|x=\pm 3|x=3, x=-3
y|f'(x)=2x|2x
n|f'(x)=2x|f'(x)=3x
"""

# The numbers e and i, in any type
CONSTANTS = r"""
y|3+2\mathrm{i}|3+2i
n|3+2\mathrm{i}|3-2i
y|2\mathrm{e}|2e
n|2\mathrm{e}|2
n|2\mathrm{i}|2
n|\mathrm{e}^2|\mathrm{e}^3
n|\mathrm{e}^2|2
y|e^{i\pi}|-1
y|\frac{1+i}{2}|\frac12+\frac{i}{2}
y|1/i|-i
y|\vec{i}+2\vec{j}|2\vec{j}+\vec{i}
n|\vec{i}+2\vec{j}|2\vec{i}+\vec{j}
y|2\mathbf{i}+3\mathbf{j}|3\mathbf{j}+2\mathbf{i}
n|2\mathbf{i}+3\mathbf{j}|2\mathbf{i}-3\mathbf{j}
"""

# Lists, pairs and both signs
LISTS = r"""
n|[1,2)|[1,3)
n|(1,2)|[1,2)
y|1,2,\ldots,n|1, 2, \dots, n
n|1,2,\ldots,n|1, 3, \dots, n
n|12|12, 13
y|(3,4)|(3, 4)
n|(3,4)|(4,3)
y|\pm 3|3,-3
y|\frac{1\pm\sqrt5}{2}|\frac{1+\sqrt5}{2},\frac{1-\sqrt5}{2}
n|\frac{1\pm\sqrt5}{2}|\frac{1+\sqrt5}{2}
n|\pm3|3
y|(1,2),(3,4)|(3,4),(1,2)
n|(1,2),(3,4)|(1,2),(4,3)
y|10,000|10000
n|10,000|10,0000
n|1,000|1
"""

# Numbers: exact ones exactly, decimals by their digits
NUMBERS = r"""
n|\frac{2018}{2019}|\frac{2019}{2020}
n|\frac{1}{2598960}|0
n|10^{-30}|10^{-31}
n|\frac{1}{30!}|\frac{1}{31!}
y|\frac{1}{30!}|\frac{1}{31\cdot 29!\cdot 30}\cdot 31
n|30!|31!
n|100!|100!+1
n|2^{100}|2^{101}
n|2^{2000}|2^{2000}-1
y|2^{2000}|4^{1000}
n|\pi^{100}|\pi^{100}+1
n|e^{-100}|e^{-101}
n|e^{-100}|0
n|\sqrt{10^{20}+1}|10^{10}
y|\sqrt{5+2\sqrt6}|\sqrt2+\sqrt3
n|\sqrt{5+2\sqrt6}|\sqrt2+\sqrt3+10^{-50}
y|\cos 36^\circ|\frac{1+\sqrt5}{4}
n|\cos 36^\circ|\frac{1+\sqrt5}{3}
y|\sin\frac{\pi}{6}|\frac12
y|\log_2 8|3
y|\ln e^2|2
y|\frac{1}{\sqrt2}|\frac{\sqrt2}{2}
y|\sqrt[3]{-8}|\sqrt[3]{-8}
y|\binom{10}{3}|120
n|\binom{10}{3}|\binom{10}{4}
y|\binom{10}{3}|\binom{10}{7}
y|0.5|\frac12
y|0.25|25\%
y|50\%|\frac{1}{2}
n|50\%|0.05
n|50\%|5
y|3.14159265|3.1415927
n|3.14|3.15
n|3.14|\pi
n|3.14159|3.14158
n|0.001|0.002
n|0.000001|0.000002
y|\frac{22}{7}|3.142857
n|\frac{22}{7}|3.14
y|1.5\times10^{-5}|0.000015
n|1.5\times10^{-5}|1.6\times10^{-5}
y|6.02 \times 10^{23}|6.02e23
y|6.02 \times 10^{23}|6.02 \cdot 10^{23}
n|6.02 \times 10^{23}|6.02 \times 10^{22}
n|7|7\ldots
n|0.333|0.333\ldots
y|1\frac12|\frac32
y|1\frac12|1.5
n|1\frac12|\frac12
y|-1\frac12|-\frac32
n|7|7!
n|7|7^*
n|7|7''
n|7|+
n|7|
n|7|\frac{7}{}
n|7|7\cdot
n|7|(7
n|7|7)
n|7|7\}
n|7|7^
n|7|7_
n|7|\sqrt7
n|7|7 \% 8
y|90^\circ|90
n|90^\circ|\frac{\pi}{2}
y|\frac{\pi}{2}|\frac12\pi
y|\frac{\pi}{2}|1.570796
n|\frac{\pi}{2}|1.57
y|1000|10^3
"""

# Formulas with names, compared at points; text, marks and leftovers that have no place
FORMULAS = r"""
y|x+5|5+x
n|x+5|x-5
y|(x+1)(x-1)|x^2-1
n|x^2-1|x^2+1
y|\frac{x}{x+1}|1-\frac{1}{x+1}
y|2^{n+1}-2|2(2^n-1)
n|2^n|2^{n-1}
y|n^2-n|n(n-1)
y|\frac{n!}{2}|\frac{n!}{2}
y|\sin 2x|2\sin x\cos x
y|\tan x|\frac{\sin x}{\cos x}
y|\ln(xy)|\ln x+\ln y
n|\ln x|\log x
n|\sin x|\cos x
y|\frac{\ln x}{\ln 2}|\log_2 x
y|e^{2x}|(e^x)^2
y|x^{1/2}|\sqrt{x}
y|x^{-1}|\frac1x
n|x^{-1}|x
y|\sqrt{x^2}|\lvert x\rvert
n|\sqrt{x^2}|x
y|\lfloor x\rfloor|\lfloor x \rfloor
n|\lfloor x\rfloor|\lceil x\rceil
n|\lfloor x\rfloor|x
n|12|12+C
n|12|12+O(n)
n|7|7\circ
n|ABC|CBA
n|A|B
n|a|A
y|i|\sqrt{-1}
y|2\sqrt{3}i|2i\sqrt3
n|x|X
y|x^2+2x+C|x^2+2x+C
n|\frac{1}{3}x^3+C|\frac13x^3
y|1/3 x^3|\frac{x^3}{3}
y|\overline{AB}|\overline{AB}
y|0|x-x
n|e^{\pi}|\pi^e
y|\frac{d}{2}|0.5d
"""

# One answer in many notations, and near misses of each
NOTATIONS = r"""
y|0.005|0.5\%
y|\frac12\%|0.005
n|0.5|0.5\text{ million}
y|\ln 2|\log_e 2
y|e^{\ln 2}|2
y|3!|6
y|\sqrt{-4}|2i
y|5\sqrt2|5\sqrt{2} \approx 7.07
n|5\sqrt2|7.07
y|5\sqrt2|7.0710678
y|50\%|50\text{ percent}
y|50\%|50 percent
y|1234.5|1,234.5
y|1000|1 000
y|1000000|1e6
y|1000000|1E6
y|6.02\times10^{23}|6.02*10^23
y|6.02\times10^{23}|6.02x10^{23}
y|6.02\times10^{23}|6.02 × 10^23
y|6.02\times10^{23}|6.02 × 10²³
y|\infty|\text{infinity}
y|\infty|infinity
y|\text{DNE}|\text{dne}
y|7 \pmod{12}|7\mod{12}
y|\{-1,1\}|\pm1
y|x=2,y=3|y=3, x=2
n|x=2,y=3|x=3,y=2
y|x=2,y=3|(x,y)=(2,3)
y|(2,3)|(x, y) = (2, 3)
y|(2,3)|x=2 \text{ and } y=3
y|\left\{1,2\right\}|\lbrace 1,2\rbrace
y|\frac{\sqrt{3}}{2}|\frac{\sqrt3}2
y|\frac{\sqrt{3}}{2}|\sqrt{3}/2
y|\frac{\sqrt{3}}{2}|\sqrt{\frac34}
y|\frac{1}{2}|1/2
y|\frac{1}{2}|{1 \over 2}
y|\frac{-1}{2}|-\frac12
y|-\frac12|\frac{1}{-2}
y|\frac{a}{b}|a/b
y|2\pi r|2r\pi
y|36\pi|36 \pi \text{ cm}^3
y|36\pi|36π
y|\frac{1}{4}\pi|\frac{\pi}{4}
y|x^3|x\cdot x\cdot x
y|(x-2)(x+3)|x^2+x-6
y|(x-2)(x+3)|(x+3)(x-2)
n|(x-2)(x+3)|(x+2)(x-3)
y|10!/(3!7!)|120
y|{10 \choose 3}|120
y|C(10,3)|C(10,3)
y|\dbinom{10}{3}|120
y|2^{10}|1024
y|\sqrt[4]{16}|2
y|16^{1/4}|2
y|(-8)^{1/3}|(-8)^{1/3}
y|0.\overline{9}|1
y|\cot x|\frac{1}{\tan x}
y|\sec^2 x|1+\tan^2 x
y|\sin^2 x+\cos^2 x|1
y|\cos 2x|2\cos^2x-1
y|\frac{e^x-e^{-x}}{2}|\sinh x
y|\arctan 1|\frac{\pi}{4}
y|\tan^{-1}(1)|\frac{\pi}{4}
y|\log_{10}100|2
y|\sqrt{x}\sqrt{y}|\sqrt{xy}
y|x>2|(2,\infty)
y|x \in (2,\infty)|(2,\infty)
y|(2,\infty)|\{x \mid x>2\}
y|(2,\infty)|\{x : x > 2\}
y|[-1,1]|-1\le x\le1
y|-1\le x\le1|[-1,1]
y|\mathbb{R}|(-\infty,\infty)
y|\mathbb{R}|\text{all real numbers}
y|x\ne 2|(-\infty,2)\cup(2,\infty)
y|[1,2]\cup[3,4]|[3,4]\cup[1,2]
n|[1,2]\cup[3,4]|[1,2]\cap[3,4]
y|(1,2)\cup(2,3)|(1,3)\setminus\{2\}
y|\begin{bmatrix}1\\0\end{bmatrix}|\begin{bmatrix} 1 \\ 0 \end{bmatrix}
y|\begin{pmatrix}1&0\end{pmatrix}|\begin{bmatrix}1&0\end{bmatrix}
y|90|90^{\circ}
y|\frac{\pi}{3}|\pi/3
y|1.5|1\frac{1}{2}
y|1.5|1 1/2
y|1.5|3/2
y|-1.5|-1\frac12
n|-1.5|1.5
y|3:4|3 : 4
y|12:30|12:30
y|2\text{ hours}|2 \text{ h}
y|\$10|10 \text{ USD}
y|10|\text{\$}10
y|10|10\ \text{dollars}
y|10|\text{10 dollars}
y|10|\text{10}
y|10|\mathbf{10}
y|10|\textbf{10}
y|10|10.
y|10|10\,
y|10|=10
y|10|: 10
y|10|(10)
y|10|{10}
y|10|\left(10\right)
n|10|[10]
n|10|-10
n|10|10i
n|10|10\pi
n|10|10e
n|10|10^1{}^0
n|10|01
n|10|1{}0 0
y|x=5|5
y|x=5|x=5
n|x=5|y=5
y|a_5=10|10
y|f(3) = 10|10
y|AB = 10|10
y|\angle ABC = 60^\circ|60
y|\angle ABC = 60^\circ|60^\circ
y|\theta=\frac{\pi}{3}|\frac{\pi}{3}
y|n^2+n+1|1+n+n^2
n|n^2+n+1|n^2+n-1
n|n^2+n+1|m^2+m+1
y|P=\frac13|\frac{1}{3}
y|S=\{1,2\}|\{1,2\}
y|y=-2x+3|2x+y-3=0
y|y=-2x+3|y=3-2x
n|y=-2x+3|y=2x+3
y|x^2+y^2=25|y^2+x^2=25
n|x^2+y^2=25|x^2+y^2=5
n|x^2+y^2=25|25
y|2x+3y=6|4x+6y=12
n|2x+3y=6|4x+6y=6
y|1,2,3|1, 2, 3
y|1,2,3|3,2,1
y|1,2,3|\{1,2,3\}
n|1,2,3|1,2
n|1,2,3|1,2,3,4
n|1,2,3|6
y|2\text{ and }3|2, 3
y|x<-1\text{ or }x>1|(-\infty,-1)\cup(1,\infty)
y|\text{(A)}|A
y|\textbf{(A)}|A
y|\text{A}|A
n|\text{A}|B
y|\text{(A)}|\text{A}
y|\text{triangle}|\text{Triangle}
y|\text{True}|true
n|\text{True}|False
y|\text{increasing}|\text{increasing }
n|\text{2 red, 3 blue}|\text{3 red, 2 blue}
y|\text{2 red, 3 blue}|\text{2 red, 3 blue}
y|\text{June 20}|June 20
n|\text{June 20}|\text{June 21}
n|\text{June 20}|20
"""

KINDS = {
    "congruences": CONGRUENCES,
    "repeating": REPEATING,
    "matrices": MATRICES,
    "bases": BASES,
    "sets": SETS,
    "times": TIMES,
    "units": UNITS,
    "equations": EQUATIONS,
    "constants": CONSTANTS,
    "lists": LISTS,
    "numbers": NUMBERS,
    "formulas": FORMULAS,
    "notations": NOTATIONS,
}
PAIRS = [tuple(line.split("|")) for pairs in KINDS.values() for line in pairs.strip().split("\n")]


def test_every_kind_has_both() -> None:
    for kind, pairs in KINDS.items():
        assert {line[0] for line in pairs.strip().split("\n")} == {"y", "n"}, kind


@pytest.mark.parametrize(("right", "gold", "written"), PAIRS)
def test_equal_answers(right: str, gold: str, written: str) -> None:
    assert equal_answers(gold, written, MathPolicy()) is (right == "y")


@pytest.mark.parametrize(("gold", "written"), [pair[1:] for pair in PAIRS if pair[0] == "n" and pair[1] != "1:30"])
def test_unequal_answers_are_unequal_the_other_way_round(gold: str, written: str) -> None:
    assert not equal_answers(written, gold, MathPolicy())
