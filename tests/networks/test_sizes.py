from skml._networks._sizes import auto_hidden_layer_sizes, auto_members


def test_fewer_or_narrower_members_where_they_are_dear():
    assert auto_hidden_layer_sizes(1_000, 100, 300) == [256, 256]
    assert auto_hidden_layer_sizes(1_000, 100, 299.5) == [128, 128]
    assert auto_hidden_layer_sizes(11_111, 90, 300) == [128, 128]
    assert auto_hidden_layer_sizes(100_000, 90, 300) == [64, 64]
    assert auto_members([1_000, 256, 256, 100]) == 5
    assert auto_members([50_000, 64, 64, 100]) == 4
    assert auto_members([1_000_000, 64, 64, 100]) == 1
