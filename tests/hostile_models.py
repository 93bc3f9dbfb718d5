"""The models of hostile.py: each function gives one, and its name says what it must get."""
import os

import numpy as np
import onnx
import onnx.numpy_helper
from onnx import TensorProto as T, helper as h

MODELS = {}
I64 = np.int64
HUGE = 1 << 40


def model(function):
    MODELS[function.__name__.replace("_", "-")] = function
    return function


def tensor(name, values, dtype=None):
    return onnx.numpy_helper.from_array(np.asarray(values, dtype), name)


def graph(nodes, inits=(), x=(1, 4, 8, 8), y="y", opset=13, x_type=T.FLOAT, more=()):
    """A model with input x, output y (of no declared shape) and these nodes."""
    g = h.make_graph(list(nodes), "g", [h.make_tensor_value_info("x", x_type, x), *more],
                     [onnx.ValueInfoProto(name=n) for n in ([y] if isinstance(y, str) else y)], list(inits))
    for o in g.output:
        o.type.tensor_type.elem_type = T.FLOAT
    return h.make_model(g, opset_imports=[h.make_opsetid("", opset)])


def node(op, ins, outs, **attributes):
    return h.make_node(op, ins.split(), outs.split(), **attributes)


def constant(op_nodes, inits, opset=13, of="c"):
    """A graph whose constant part is given; its result c is added to x's sum."""
    return graph([*op_nodes, node("ReduceSum", of, "sum", keepdims=0), node("Add", "x sum", "y")], inits, opset=opset)


# --- structure -------------------------------------------------------------------------------------------------------

@model
def any_chain_of_20000_nodes():
    names = ["x", *(f"t{i}" for i in range(19999)), "y"]
    return graph(node("Relu", a, b) for a, b in zip(names, names[1:]))


@model
def any_chain_of_20000_views():
    names = ["x", *(f"t{i}" for i in range(19999)), "y"]
    return graph((node("Reshape", f"{a} s{i % 2}", b) for i, (a, b) in enumerate(zip(names, names[1:]))),
                 [tensor("s0", [1, 4, 64], I64), tensor("s1", [1, 8, 32], I64)])


@model
def any_chain_of_9000_convolutions():
    names = ["x", *(f"t{i}" for i in range(8999)), "y"]
    return graph((node("Conv", f"{a} w", b) for a, b in zip(names, names[1:])),
                 [tensor("w", np.ones((4, 4, 1, 1)), np.float32)])


@model
def no_20001_nodes():
    names = ["x", *(f"t{i}" for i in range(20000)), "y"]
    return graph(node("Relu", a, b) for a, b in zip(names, names[1:]))


@model
def any_19000_values_at_once():
    many = 18900
    nodes = [node("Relu", "x", f"t{i}") for i in range(many)]
    sums = [node("Sum", " ".join(f"t{k}" for k in range(i, min(i + 1000, many))), f"s{i}") for i in range(0, many, 1000)]
    return graph([*nodes, *sums, node("Sum", " ".join(n.output[0] for n in sums), "y")])


@model
def any_splits_of_1000_outputs_each():
    nodes, last = [], []
    for i in range(400):
        outs = [f"p{i}_{k}" for k in range(1000)]
        nodes.append(h.make_node("Split", ["x"], outs, axis=1))
        nodes.append(h.make_node("Sum", outs, [f"s{i}"]))
        last.append(f"s{i}")
    return graph([*nodes, node("Sum", " ".join(last), "y")], x=(1, 1000, 2, 2))


@model
def any_splits_whose_parts_are_read_far_away():
    nodes = [node("Conv", "x w", "a")]
    parts = []
    for i in range(1500):
        outs = [f"p{i}_{k}" for k in range(8)]
        nodes.append(h.make_node("Split", ["a"], outs, axis=1))
        parts += outs
    nodes += [node("Relu", "x", f"r{i}") for i in range(16000)]
    nodes += [node("Concat", " ".join(parts[i:i + 1000]), f"c{i}", axis=1) for i in range(0, len(parts), 1000)]
    nodes.append(node("Concat", " ".join(n.output[0] for n in nodes[-12:]), "y", axis=1))
    return graph(nodes, [tensor("w", np.ones((8, 4, 1, 1)), np.float32)], y=["y", *(f"r{i}" for i in range(16000))])


@model
def any_concats_that_begin_alike():
    nodes = [node("Conv", "x w", f"a{i}") for i in range(100)]
    sums = []
    for i in range(3000):
        nodes.append(node("Concat", " ".join([f"a{k}" for k in range(100)] + ["a0"] * (i % 20)), f"c{i}", axis=1))
        nodes.append(node("Conv", f"c{i} v{i % 20}", f"s{i}"))
        sums.append(f"s{i}")
    nodes += [node("Sum", " ".join(sums[i:i + 1000]), f"z{i}") for i in range(0, 3000, 1000)]
    nodes.append(node("Sum", " ".join(f"z{i}" for i in range(0, 3000, 1000)), "y"))
    weights = [tensor(f"v{i}", np.ones((1, 4 * (100 + i), 1, 1)), np.float32) for i in range(20)]
    return graph(nodes, [tensor("w", np.ones((4, 4, 1, 1)), np.float32), *weights])


@model
def any_one_input_of_20000_readers():
    sums = [node("Add", "x x", f"t{i}") for i in range(19900)]
    return graph([*sums, node("Sum", " ".join(f"t{i}" for i in range(1000)), "y")])


@model
def any_everything_backwards():
    names = ["x", *(f"t{i}" for i in range(9999)), "y"]
    return graph(reversed([node("Relu", a, b) for a, b in zip(names, names[1:])]))


@model
def no_cycle():
    return graph([node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "a", "y")])


@model
def no_node_that_reads_itself():
    return graph([node("Add", "x y", "y")])


@model
def no_duplicate_outputs():
    return graph([node("Relu", "x", "y"), node("Relu", "x", "y")])


@model
def no_duplicate_initialisers():
    return graph([node("Add", "x a", "y")], [tensor("a", 1, np.float32), tensor("a", 2, np.float32)])


@model
def no_duplicate_inputs():
    return graph([node("Relu", "x", "y")], more=[h.make_tensor_value_info("x", T.FLOAT, (1, 4, 8, 8))])


@model
def no_1000_attributes_of_one_name():
    n = node("Relu", "x", "y")
    n.attribute.extend(h.make_attribute("alpha", float(i)) for i in range(1000))
    return graph([n])


@model
def no_50000_attributes():
    n = node("Relu", "x", "y")
    n.attribute.extend(h.make_attribute(f"a{i}", i) for i in range(50000))
    return graph([n])


@model
def no_200000_domains():
    m = graph([node("Relu", "x", f"t{i}") for i in range(5000)] + [node("Relu", "x", "y")])
    m.opset_import.extend(h.make_opsetid(f"d{i}", 1) for i in range(200000))
    return m


@model
def any_200000_initialisers():
    return graph([node("Relu", "x", "y")], [tensor(f"i{i}", np.float32(i)) for i in range(200000)])


@model
def any_50000_inputs():
    return graph([node("Relu", "x", "y")], more=[h.make_tensor_value_info(f"i{i}", T.FLOAT, (1,)) for i in range(50000)])


@model
def no_node_with_2000_inputs():
    return graph([node("Sum", " ".join(["x"] * 2000), "y")])


@model
def no_control_characters_in_names():
    n = node("Nonsense\n\x1b[31mred", "x", "y", name="two\nlines\r\x1b[2J")
    return graph([n])


@model
def no_name_of_a_megabyte():
    return graph([node("Relu", "x " + "z" * 1000000, "y", name="n" * 1000000)])


@model
def no_op_type_of_a_megabyte():
    return graph([node("N" * 1000000, "x", "y")])


# --- dimensions ------------------------------------------------------------------------------------------------------

def raw_tensor(name, dims, data=b"", dtype=T.FLOAT):
    return T(name=name, dims=dims, data_type=dtype, raw_data=data)


@model
def no_negative_dimension_of_an_initialiser():
    return graph([node("Add", "x a", "y")], [raw_tensor("a", [-4, -1], b"\0" * 16)])


@model
def no_dimensions_that_overflow():
    return graph([node("Add", "x a", "y")], [raw_tensor("a", [1 << 32, 1 << 32, 1 << 32], b"\0" * 16)])


@model
def no_dimensions_that_overflow_to_what_is_there():
    return graph([node("Add", "x a", "y")], [raw_tensor("a", [(1 << 62) + 1, 4], b"\0" * 16)])


@model
def no_dimensions_without_bytes():
    return graph([node("Add", "x a", "y")], [raw_tensor("a", [100000, 1000])])


@model
def no_rank_1000():
    return graph([node("Add", "x a", "y")], [raw_tensor("a", [1] * 1000, b"\0" * 4)])


@model
def no_input_of_rank_1000():
    return graph([node("Relu", "x", "y")], x=[1] * 1000)


@model
def no_input_of_many_terabytes():
    return graph([node("Relu", "x", "y")], x=[1, 1 << 20, 1 << 20, 1 << 10])


@model
def no_input_whose_size_overflows():
    return graph([node("Relu", "x", "y")], x=[1 << 33, 1 << 31])


@model
def no_more_than_8_gigabytes_of_values():
    return graph([node("Relu", "x", f"t{i}") for i in range(9)] + [node("Sum", " ".join(f"t{i}" for i in range(9)), "y")],
                 x=[1, 1 << 9, 1 << 10, 1 << 9])


@model
def any_input_of_a_gigabyte():
    return graph([node("Relu", "x", "y")], x=[1, 1 << 8, 1 << 10, 1 << 10])


@model
def any_empty_tensors_of_giant_outside():
    shape = tensor("s", [2**31 - 1, 2**31 - 1, 2**31 - 1, 0], I64)
    return graph([node("ConstantOfShape", "s", "c"), node("Gather", "c i", "d", axis=2), node("Relu", "d", "f"),
                  node("Transpose", "f", "t"), node("ReduceSum", "t", "r", keepdims=0), node("Add", "x r", "y")],
                 [shape, tensor("i", [0, 1, 2], I64)])


@model
def any_empty_tensor_of_two_billion_rows():
    return graph([node("ConstantOfShape", "s", "c"), node("Gather", "c i", "d", axis=1), node("Softmax", "d", "f"),
                  node("Concat", "f f", "g", axis=0), node("ReduceSum", "g", "r", keepdims=0), node("Add", "x r", "y")],
                 [tensor("s", [2**29 - 1, 2, 0], I64), tensor("i", [0, 1], I64)])


# --- bombs: a few bytes that ask for many ----------------------------------------------------------------------------

@model
def any_bomb_constantofshape():
    return constant([node("ConstantOfShape", "a", "c")], [tensor("a", [1 << 14, 1 << 14], I64)])


@model
def no_bomb_constantofshape_overflow():
    return constant([node("ConstantOfShape", "a", "c")], [tensor("a", [1 << 32, 1 << 32], I64)])


@model
def no_bomb_constantofshape_negative():
    return constant([node("ConstantOfShape", "a", "c")], [tensor("a", [-1, 4], I64)])


@model
def any_bomb_expand():
    return constant([node("Expand", "v a", "c")], [tensor("v", 1, np.float32), tensor("a", [1 << 14, 1 << 14], I64)])


@model
def any_bomb_expand_of_bytes():
    return constant([node("Expand", "v a", "d"), node("Not", "d", "e"), node("Cast", "e", "c", to=1)],
                    [tensor("v", True), tensor("a", [1 << 14, 1 << 13], I64)])


@model
def any_bomb_tile():
    return constant([node("Tile", "v a", "c")], [tensor("v", [1], np.float32), tensor("a", [1 << 28], I64)])


@model
def no_bomb_tile_overflow():
    return constant([node("Tile", "v a", "c")], [tensor("v", [1, 2], np.float32), tensor("a", [1 << 62, 4], I64)])


@model
def any_bomb_range():
    return constant([node("Range", "a b d", "c")], [tensor(n, v, np.float32) for n, v in zip("abd", (0, 9e8, 1))])


@model
def no_bomb_range_of_nan():
    return constant([node("Range", "a b d", "c")], [tensor(n, v, np.float32) for n, v in zip("abd", (0, 9, np.nan))])


@model
def any_bomb_pad():
    return constant([node("Pad", "v a", "c")], [tensor("v", [[1]], np.float32), tensor("a", [1 << 13] * 4, I64)])


@model
def any_bomb_pad_edge():
    return constant([node("Pad", "v a", "c", mode="edge")],
                    [tensor("v", [[1]], np.float32), tensor("a", [1 << 12] * 4, I64)])


@model
def no_bomb_pad_overflow():
    return constant([node("Pad", "v a", "c")], [tensor("v", [[1]], np.float32), tensor("a", [2**63 - 1] * 4, I64)])


@model
def any_bomb_resize():
    return constant([node("Resize", "v  a", "c", mode="linear")],
                    [tensor("v", np.ones((1, 1, 8, 8)), np.float32), tensor("a", [1, 1, 1000, 1000], np.float32)])


@model
def any_resize_of_the_picture():
    return graph([h.make_node("Resize", ["x", "", "a"], ["y"], mode="cubic")],
                 [tensor("a", [1, 1, 2000, 2000], np.float32)])


@model
def any_resize_by_nothing():
    return graph([h.make_node("Resize", ["x", "", "a"], ["y"], mode="linear")],
                 [tensor("a", [1, 1, 1e-30, 1], np.float32)])


@model
def any_resize_down_with_antialiasing():
    return graph([h.make_node("Resize", ["x", "", "", "a"], ["y"], mode="cubic", antialias=1)],
                 [tensor("a", [1, 1, 1, 9000], I64)], x=(1, 1, 9000, 9000), opset=18)


@model
def any_bomb_onehot():
    return constant([node("OneHot", "i d v", "c")], [tensor("i", np.arange(16384), I64), tensor("d", 16384, I64),
                                                     tensor("v", [0, 1], np.float32)])


@model
def any_bomb_onehot_depth():
    return constant([node("OneHot", "i d v", "c")], [tensor("i", [1], I64), tensor("d", 2**62, I64),
                                                     tensor("v", [0, 1], np.float32)])


@model
def any_bomb_eyelike():
    return graph([node("EyeLike", "x", "c"), node("ReduceSum", "c", "s", keepdims=0), node("Add", "x s", "y")],
                 x=(16384, 16384))


@model
def any_bomb_gather():
    return constant([node("Gather", "v i", "c")], [tensor("v", np.ones((1, 10000)), np.float32),
                                                   tensor("i", np.zeros(10000), I64)])


@model
def any_bomb_matmul():
    return constant([node("Expand", "v a", "e"), node("MatMul", "e e", "c")],
                    [tensor("v", 1, np.float32), tensor("a", [4096, 4096], I64)])


@model
def any_bomb_outer_product():
    return constant([node("MatMul", "a b", "c")], [tensor("a", np.ones((20000, 1)), np.float32),
                                                   tensor("b", np.ones((1, 20000)), np.float32)])


@model
def any_bomb_einsum():
    letters = "abdefghi"
    return constant([node("Einsum", " ".join(letters), "c", equation=",".join(letters) + "->")],
                    [tensor(n, np.ones(64), np.float32) for n in letters])


@model
def any_bomb_broadcast():
    return constant([node("Add", "a b", "c")], [tensor("a", np.ones((20000, 1)), np.float32),
                                                tensor("b", np.ones((1, 20000)), np.float32)])


@model
def any_bomb_of_doubling():
    nodes, last = [], "v"
    for i in range(40):
        nodes.append(node("Concat", f"{last} {last}", f"d{i}", axis=0))
        last = f"d{i}"
    return constant(nodes, [tensor("v", np.ones(4), np.float32)], of=last)


@model
def any_bomb_of_1000_constants():
    nodes = [node("ConstantOfShape", "a", f"c{i}") for i in range(1000)]
    return graph([*nodes, node("Sum", " ".join(f"c{i}" for i in range(1000)), "s"),
                  node("ReduceSum", "s", "r", keepdims=0), node("Add", "x r", "y")], [tensor("a", [1 << 20], I64)])


@model
def any_bomb_of_a_chain_of_large_constants():
    names = ["c", *(f"t{i}" for i in range(2000))]
    return constant([node("ConstantOfShape", "a", "c"), *(node("Sin", a, b) for a, b in zip(names, names[1:]))],
                    [tensor("a", [1 << 20], I64)], of=names[-1])


@model
def any_bomb_cumsum_and_topk():
    return constant([node("ConstantOfShape", "a", "d"), node("CumSum", "d z", "e"), node("TopK", "e k", "c i", axis=0)],
                    [tensor("a", [1 << 24], I64), tensor("z", 0, I64), tensor("k", [1], I64)])


@model
def any_bomb_lrn():
    return constant([node("ConstantOfShape", "a", "d"), node("LRN", "d", "c", size=2**31 - 1)],
                    [tensor("a", [1, 100000], I64)])


@model
def any_bomb_average_of_everything():
    return graph([node("ConstantOfShape", "a", "d"),
                  node("AveragePool", "d", "c", kernel_shape=[1000, 1000], pads=[999] * 4, count_include_pad=1),
                  node("ReduceSum", "c", "s", keepdims=0), node("Add", "x s", "y")], [tensor("a", [1, 1, 1000, 1000], I64)])


@model
def any_bomb_scatter():
    return constant([node("ConstantOfShape", "a", "d"), node("Expand", "i b", "j"), node("Expand", "u e", "v"),
                     node("ScatterND", "d j v", "c")],
                    [tensor("a", [100], I64), tensor("i", 0, I64), tensor("b", [1 << 24, 1], I64),
                     tensor("u", 1, np.float32), tensor("e", [1 << 24], I64)])


@model
def any_bomb_convtranspose_of_constants():
    return constant([node("ConvTranspose", "d w", "c", strides=[4000, 4000])],
                    [tensor("d", np.ones((1, 1, 4, 4)), np.float32), tensor("w", np.ones((1, 1, 4, 4)), np.float32)])


# --- quantised -------------------------------------------------------------------------------------------------------

SCALES = [tensor("s", 0.1, np.float32), tensor("z", 0, np.uint8), tensor("zw", 0, np.int8)]
BYTES = [tensor("v", [1], np.uint8)]


def quantised(x, weights=(1, 4, 3, 3), **attributes):
    return graph([node("QuantizeLinear", "x s z", "q"), node("QLinearConv", "q s z w s zw s z", "r", **attributes),
                  node("DequantizeLinear", "r s z", "y")], [tensor("w", np.ones(weights), np.int8), *SCALES], x=x)


def of_bytes(shape, *nodes):
    made = node("ConstantOfShape", "a", "d", value=BYTES[0])
    return constant([made, *nodes], [tensor("a", shape, I64), *SCALES])


MODELS["any-quantised-kernel-of-a-million-taps"] = lambda: quantised((1, 1, 2000, 2000), (1, 1, 1000, 1000))
MODELS["no-quantised-pads-of-gigabytes"] = lambda: quantised((1, 4, 8, 8), pads=[2**31 - 1] * 4)
MODELS["any-quantised-groups-of-one"] = lambda: quantised((1, 100000, 8, 8), (100000, 1, 3, 3), group=100000)
MODELS["any-bomb-dequantize"] = lambda: of_bytes([1 << 14, 1 << 14], node("DequantizeLinear", "d s z", "c"))
MODELS["any-bomb-qlinearmatmul"] = lambda: of_bytes([4096, 4096], node("QLinearMatMul", "d s z d s z s z", "e"),
                                                    node("DequantizeLinear", "e s z", "c"))
MODELS["any-bomb-matmulinteger"] = lambda: of_bytes([4096, 4096], node("MatMulInteger", "d d", "e"), node("Cast", "e", "c", to=1))
MODELS["any-bomb-dynamicquantize"] = lambda: of_bytes([8192, 8192], node("Cast", "d", "f", to=1), node("DynamicQuantizeLinear", "f", "g h i"),
                                                      node("Cast", "g", "c", to=1))


# --- windows ---------------------------------------------------------------------------------------------------------

@model
def any_convtranspose_of_giant_strides():
    return graph([node("ConvTranspose", "x w", "y", strides=[1500, 1500])], [tensor("w", np.ones((4, 1, 3, 3)), np.float32)])


@model
def no_convtranspose_of_strides_beyond_all():
    return graph([node("ConvTranspose", "x w", "y", strides=[2**31 - 1, 2**31 - 1])],
                 [tensor("w", np.ones((4, 1, 3, 3)), np.float32)])


@model
def no_convtranspose_output_shape():
    return graph([node("ConvTranspose", "x w", "y", output_shape=[2**31 - 1, 2**31 - 1])],
                 [tensor("w", np.ones((4, 1, 3, 3)), np.float32)])


@model
def any_convolution_with_a_kernel_of_a_million_taps():
    return graph([node("Conv", "x w", "y")], [tensor("w", np.ones((1, 1, 1000, 1000)), np.float32)], x=(1, 1, 2000, 2000))


@model
def any_weights_that_are_an_input():
    return graph([node("Conv", "x w", "y")], x=(1, 1, 1000, 1000),
                 more=[h.make_tensor_value_info("w", T.FLOAT, (1, 1, 1000, 1000))])


@model
def no_weights_that_are_a_giant_input():
    return graph([node("Conv", "x w", "y", pads=[2**30] * 4)], x=(1, 1, 100, 100),
                 more=[h.make_tensor_value_info("w", T.FLOAT, (1, 1, 2**30, 2**30))])


@model
def any_groups_of_one():
    return graph([node("Conv", "x w", "y", group=100000, pads=[1] * 4)], [tensor("w", np.ones((100000, 1, 3, 3)), np.float32)],
                 x=(1, 100000, 8, 8))


@model
def no_groups_of_zero():
    return graph([node("Conv", "x w", "y", group=0)], [tensor("w", np.ones((4, 1, 3, 3)), np.float32)])


@model
def no_dilation_beyond_all():
    return graph([node("Conv", "x w", "y", dilations=[2**31 - 1, 2**62])], [tensor("w", np.ones((4, 4, 3, 3)), np.float32)])


@model
def no_pads_of_gigabytes():
    return graph([node("Conv", "x w", "y", pads=[2**31 - 1] * 4)], [tensor("w", np.ones((4, 4, 3, 3)), np.float32)])


@model
def any_pool_of_a_giant_window():
    return graph([node("MaxPool", "x", "y", kernel_shape=[2**30, 2**30], pads=[2**30 - 1] * 4,
                       strides=[2**29, 2**29])])


@model
def no_kernel_shape_of_1000_values():
    return graph([node("MaxPool", "x", "y", kernel_shape=[2] * 1000)])


@model
def any_giant_attribute():
    return graph([node("Transpose", "x", "y", perm=list(range(1000000)))])


@model
def any_giant_text_attribute():
    return graph([node("Einsum", "x", "y", equation="a" * 1000000)])


# --- values ----------------------------------------------------------------------------------------------------------

@model
def no_floats_in_the_wrong_field():
    t = T(name="a", dims=[4], data_type=T.FLOAT)
    t.int32_data.extend([1, 2, 3, 4])
    return graph([node("Add", "x a", "y")], [t])


@model
def no_raw_data_too_long():
    return graph([node("Add", "x a", "y")], [raw_tensor("a", [2], b"\0" * 12)])


@model
def no_raw_data_of_half_an_element():
    return graph([node("Add", "x a", "y")], [raw_tensor("a", [2], b"\0" * 7)])


@model
def any_raw_data_and_floats_both():
    t = raw_tensor("a", [1], b"\0" * 4)
    t.float_data.extend([1.0])
    return graph([node("Add", "x a", "y")], [t])


@model
def no_text_as_weights():
    return graph([node("Add", "x a", "y")], [T(name="a", dims=[1], data_type=T.STRING, string_data=[b"x"])])


@model
def no_element_type_99():
    return graph([node("Add", "x a", "y")], [raw_tensor("a", [1], b"\0" * 4, 99)])


@model
def no_segment():
    t = raw_tensor("a", [1], b"\0" * 4)
    t.segment.begin, t.segment.end = 0, 1 << 40
    return graph([node("Add", "x a", "y")], [t])


def external(location, key="location", declared=True):
    t = T(name="a", dims=[1], data_type=T.FLOAT)
    if declared:
        t.data_location = T.EXTERNAL
    if location is not None:
        t.external_data.add(key=key, value=location)
    return graph([node("Add", "x a", "y")], [t])


for number, spelling in enumerate(["../../etc/passwd", "/etc/passwd", "weights.bin", "", "a/../../../etc/passwd", "/proc/self/mem",
                                   "C:\\secrets", "file:///etc/passwd", "..", "weights.bin\0/etc/passwd"]):
    MODELS[f"no-external-data-{number}"] = lambda spelling=spelling: external(spelling)
MODELS["no-external-data-undeclared"] = lambda: external("/etc/passwd", declared=False)
MODELS["no-external-data-without-a-place"] = lambda: external(None)
MODELS["no-external-data-of-another-key"] = lambda: external("4096", key="offset")


@model
def no_external_data_in_a_constant():
    t = T(dims=[1], data_type=T.FLOAT, data_location=T.EXTERNAL)
    t.external_data.add(key="location", value="/etc/passwd")
    return graph([h.make_node("Constant", [], ["a"], value=t), node("Add", "x a", "y")])


@model
def no_external_data_with_values_too():
    t = raw_tensor("a", [1], b"\0" * 4)
    t.data_location = T.EXTERNAL
    t.external_data.add(key="location", value="/etc/passwd")
    return graph([node("Add", "x a", "y")], [t])


# --- what no picture needs -------------------------------------------------------------------------------------------

def branch():
    return h.make_graph([node("Relu", "x", "b")], "b", [], [h.make_tensor_value_info("b", T.FLOAT, None)])


for op, extra in (("Einsum", {"equation": "abcd,->abcd"}), ("Sum", {}), ("Max", {}), ("Concat", {"axis": 0}), ("Conv", {})):
    MODELS[f"no-{op}-without-its-input"] = lambda op=op, extra=extra: graph([h.make_node(op, ["x", ""], ["y"], **extra)])


@model
def no_subgraph():
    return graph([node("If", "c", "y", then_branch=branch(), else_branch=branch())], [tensor("c", True)])


@model
def no_subgraphs_nested_200_deep():
    inner = branch()
    for _ in range(200):
        inner = h.make_graph([node("If", "c", "b", then_branch=inner, else_branch=branch())], "b", [],
                             [h.make_tensor_value_info("b", T.FLOAT, None)])
    return graph([node("If", "c", "y", then_branch=inner, else_branch=branch())], [tensor("c", True)])


@model
def no_function():
    m = graph([h.make_node("Mine", ["x"], ["y"], domain="mine")])
    m.opset_import.extend([h.make_opsetid("mine", 1)])
    m.functions.extend([h.make_function("mine", "Mine", ["a"], ["b"], [node("Mine", "a", "b")], [h.make_opsetid("mine", 1)])])
    return m


@model
def no_sparse_initialiser():
    m = graph([node("Add", "x a", "y")])
    m.graph.sparse_initializer.extend([h.make_sparse_tensor(tensor("a", [1], np.float32), tensor("i", [0], I64), [HUGE])])
    return m


@model
def no_sequence():
    return graph([h.make_node("SequenceEmpty", [], ["s"]), node("SequenceInsert", "s x", "y")])


@model
def no_value_dependent_shape():
    return graph([node("NonZero", "x", "y")])


@model
def no_input_without_a_shape():
    m = graph([node("Relu", "x", "y")])
    m.graph.input[0].type.tensor_type.ClearField("shape")
    return m


@model
def no_unknown_domain():
    return graph([h.make_node("Conv", ["x", "x"], ["y"], domain="evil.com")])


@model
def no_opset_of_the_future():
    return graph([node("Relu", "x", "y")], opset=2**40)


def merged(count):
    """The graph field many times over: protobuf merges them."""
    one = graph([node("Relu", "x", "y")]).SerializeToString()
    piece = onnx.ModelProto(graph=onnx.GraphProto(node=[node("Relu", "x", "t")])).SerializeToString()
    return one + piece * count


MODELS["any-graph-in-20000-pieces"] = lambda: merged(20000)
MODELS["any-file-of-empty-nodes"] = lambda: graph([node("Relu", "x", "y")]).SerializeToString() + (
    lambda nodes: b"\x3a" + varint(len(nodes)) + nodes)(b"\x0a\x00" * 2000000)
MODELS["any-file-of-empty-tensors"] = lambda: graph([node("Relu", "x", "y")]).SerializeToString() + (
    lambda inits: b"\x3a" + varint(len(inits)) + inits)(b"\x2a\x00" * 2000000)
MODELS["no-nested-deeper-than-the-stack"] = lambda: nested(100000)


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def nested(depth):
    """graph { node { attribute { g { node { … } } } } }, from the inside."""
    data, fields = b"", (b"\x32", b"\x2a", b"\x0a")
    parts, size = [], 0
    for i in range(depth):
        head = fields[i % 3] + varint(size)
        parts.append(head)
        size += len(head)
    data = b"".join(reversed(parts))
    return b"\x08\x08\x3a" + varint(len(data)) + data + b"\x42\x02\x10\x0d"


def write(folder):
    os.makedirs(folder, exist_ok=True)
    for name, make in MODELS.items():
        made = make()
        with open(os.path.join(folder, name + ".onnx"), "wb") as f:
            f.write(made if isinstance(made, bytes) else made.SerializeToString())
    print(f"{len(MODELS)} models")
    return 0
