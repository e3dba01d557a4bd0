from skml._default_network._auto import DENSE, SPARSE_LONG, SPARSE_SHORT, auto_hidden_layer_sizes, auto_members


def test_large_networks_have_fewer_or_narrower_members():
    assert auto_hidden_layer_sizes(DENSE, 1_000, 100, 300) == [256, 256]
    assert auto_hidden_layer_sizes(DENSE, 1_000, 100, 299.5) == [128, 128]
    assert auto_hidden_layer_sizes(DENSE, 11_111, 90, 300) == [128, 128]
    assert auto_hidden_layer_sizes(DENSE, 100_000, 90, 300) == [64, 64]
    assert auto_members([1_000, 256, 256, 100]) == 5
    assert auto_members([50_000, 64, 64, 100]) == 4
    assert auto_members([1_000_000, 64, 64, 100]) == 1


def test_sparse_rows_may_have_more_columns_as_only_used_ones_take_time():
    assert auto_hidden_layer_sizes(SPARSE_LONG, 1_000, 100, 300) == [256, 256]
    assert auto_hidden_layer_sizes(SPARSE_LONG, 20_000, 100, 300) == [128, 128]
    assert auto_hidden_layer_sizes(SPARSE_LONG, 80_000, 100, 300) == [64, 64]
    assert auto_hidden_layer_sizes(SPARSE_LONG, 200_000, 100, 300) == [32, 32]
    assert auto_members([200_000, 32, 32, 100], is_sparse=True) == 5
    assert auto_members([2_000_000, 32, 32, 100], is_sparse=True) == 1


def test_short_rows_have_one_hidden_layer():
    assert auto_hidden_layer_sizes(SPARSE_SHORT, 20_000, 28, 8_000) == [128]
    assert auto_hidden_layer_sizes(SPARSE_SHORT, 20_000, 28, 100) == [128]
