"""An `ipopt` executable made of CasADi: it reads .nl files with suffixes and names, and writes .sol files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from titer.numerics.ampl.executable import main
from titer.numerics.ampl.options import ipopt_options, with_loadable_solver
from titer.numerics.ampl.stub import read
from titer.numerics.errors import SpecificationError

# maximize -(x - 3)^2 + 7 with x y <= 4 and y = 2, so x = 2: written by hand, with a suffix, a dual and names.
TEXT = """g3 1 1 0	# problem hand
 2 2 1 0 1 	# vars, constraints, objectives, ranges, eqns
 1 1 0 0 0 0	# nonlinear constrs, objs; ccons: lin, nonlin, nd, nzlb
 0 0	# network constraints: nonlinear, linear
 2 1 1 	# nonlinear vars in constraints, objectives, both
 0 0 0 1	# linear network variables; functions; arith, flags
 0 0 0 0 0 	# discrete variables: binary, integer, nonlinear (b,c,o)
 3 1 	# nonzeros in Jacobian, obj. gradient
 1 1	# max name lengths: constraints, variables
 0 0 0 0 0	# common exprs: b,c,o,c1,o1
S4 1 ipopt_zL_in
0 0.5
C0	#product
o2	#*
v0	#x
v1	#y
C1	#pinned
n0
O0 1	#profit
o0	#+
n7
o16	#-
o5	#^
o0	#+
v0	#x
n-3
n2
d1
0 -0.25
x1
0 1	# x
r
1 4	#product
4 2	#pinned
b
3	#x
3	#y
k1
1
J0 2
0 0
1 0
J1 1
1 1
G0 1
0 0
"""


@pytest.fixture
def stub(tmp_path) -> Path:
    path = tmp_path / "hand.nl"
    path.write_text(TEXT)
    return path


def sol(path: Path) -> list[str]:
    return path.with_suffix(".sol").read_text().splitlines()


def test_suffixes_names_duals_and_the_sense_are_read(stub):
    problem = read(stub)
    assert problem.sense == -1
    assert problem.suffixes == {(0, "ipopt_zL_in"): {0: 0.5}}
    assert problem.multipliers.tolist() == [-0.25, 0.0]
    assert problem.start.tolist() == [1.0, 0.0]
    f, g = problem.functions([1.0, 2.0])
    assert float(f) == -3.0  # minimized: (1 - 3)^2 - 7
    assert [float(v) for v in g.nonzeros()] == [2.0, 2.0]


def test_a_solution_file_has_values_duals_and_suffixes_in_the_users_sense(stub, capsys):
    assert main([str(stub), "-AMPL", "tol=1e-9"]) == 0
    lines = sol(stub)
    assert "Optimal Solution Found" in lines[1]
    assert lines[3:12] == ["Options", "3", "1", "1", "0", "2", "2", "2", "2"]
    duals, values = [float(v) for v in lines[12:14]], [float(v) for v in lines[14:16]]
    assert values == pytest.approx([2.0, 2.0], abs=1e-6)
    assert duals == pytest.approx([1.0, -2.0], abs=1e-5)  # profit 7 - (4 / 2 - 3)^2: per product 2 * 1 / 2
    assert lines[16] == "objno 0 0"
    assert lines[17].startswith("suffix 4 2 ")
    assert lines[18] == "ipopt_zU_out"
    assert "EXIT: Optimal Solution Found." in capsys.readouterr().out


def test_a_file_of_options_that_is_missing_is_named(stub, capsys):
    assert main([str(stub), "option_file_name=nowhere.opt"]) == 1
    assert "option_file_name: nowhere.opt cannot be read" in capsys.readouterr().out


def test_options_come_from_the_command_line_a_file_and_the_environment(stub, tmp_path, monkeypatch, capsys):
    file = tmp_path / "more.opt"
    file.write_text("max_iter 0  # none\nprint_level 0\n")
    assert main([str(stub), f"option_file_name={file}"]) == 0
    assert "objno 0 400" in sol(stub)
    assert main([str(stub.with_suffix("")), "-AMPL", f"option_file_name={file}", "max_iter=50"]) == 0
    assert "objno 0 0" in sol(stub)
    monkeypatch.setenv("ipopt_options", 'maxit=1 mu_strategy="adaptive"')
    assert main([str(stub)]) == 0
    assert "objno 0 400" in sol(stub)
    assert main([str(stub), "nonsense=1"]) == 1
    assert "IPOPT has no option 'nonsense'" in capsys.readouterr().out


def test_a_number_that_is_not_finite_is_named_by_the_files_beside_the_stub(stub, capsys):
    stub.write_text(TEXT.replace("o2	#*\nv0	#x\nv1	#y\n", "o0\no43\nv1\nv0\n"))  # log(y) + x <= 4, y from 0
    stub.with_suffix(".col").write_text("x\ny\n")
    stub.with_suffix(".row").write_text("product\npinned\n")
    assert main([str(stub)]) == 0
    assert "objno 0 505" in sol(stub)
    assert "log(y) is the logarithm of zero: y = 0; it enters product" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("g3 1 1 0", "b3 1 1 0", "in text form"),
        (" 0 0 0 0 0 	# discrete", " 1 0 0 0 0 	# discrete", "discrete variables"),
        (" 2 2 1 0 1 ", " 2 2 2 0 1 ", "one objective is expected; found 2"),
        (" 0 0 0 1	#", " 0 1 0 1	#", "external functions"),
        ("o16	#-", "o50	#asinh", "cannot read a function of this model: asinh"),
    ],
)
def test_what_cannot_be_read_is_refused(stub, capsys, old, new, said):
    stub.write_text(TEXT.replace(old, new))
    assert main([str(stub), "-AMPL"]) == 1
    assert said in capsys.readouterr().out
    assert not stub.with_suffix(".sol").exists()


def test_a_missing_file_is_said_to_be(tmp_path, capsys):
    assert main([str(tmp_path / "none.nl")]) == 1
    assert "none.nl" in capsys.readouterr().out


def test_options_are_typed_and_ampls_own_are_left_out():
    given = {"tol": "1e-6", "maxit": "7", "OF_mu_init": "0.1", "halt_on_ampl_error": "yes", "sb": True, "outlev": 3}
    assert ipopt_options(given) == {"tol": 1e-6, "max_iter": 7, "mu_init": 0.1, "sb": "yes", "print_level": 3}
    with pytest.raises(SpecificationError, match="pardiso"):
        ipopt_options({"linear_solver": "pardiso"})
    options, note = with_loadable_solver({"linear_solver": "ma27", "hsllib": "libabsent.so"})
    assert options["linear_solver"] == "mumps"
    assert "mumps is used" in note


def test_it_runs_as_a_process_and_imports_little(stub):
    code = (
        "import sys; from titer.numerics.ampl.executable import main; code = main(sys.argv[1:]);"
        "assert not {'pyomo', 'pandas', 'scipy', 'pint'} & set(sys.modules), sys.modules; sys.exit(code)"
    )
    run = subprocess.run([sys.executable, "-c", code, str(stub), "-AMPL"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    version = subprocess.run(
        [sys.executable, "-m", "titer.numerics.ampl.executable", "-v"],
        capture_output=True, text=True, check=True, env=os.environ,
    )  # fmt: skip
    assert version.stdout.split(maxsplit=2)[:2] == ["Ipopt", version.stdout.split()[1]]
    assert version.stdout.split()[1].startswith("3.14")
