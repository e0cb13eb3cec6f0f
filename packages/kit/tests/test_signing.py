from pathlib import Path

import pytest
from mill_kit import signing


def test_a_signature_is_accepted_of_a_trusted_key_alone(tmp_path: Path) -> None:
    pair, other = signing.new_key_pair(), signing.new_key_pair()
    (tmp_path / "private").write_text(pair.private_pem)
    (tmp_path / "other").write_text(other.public_pem)
    private = signing.load_private_key(tmp_path / "private")
    name = signing.key_id(private.public_key())
    signature = signing.sign("payload é", private)
    signing.verify("payload é", signature, name, {name: private.public_key()})
    for payload, mark, signer in (
        ("payload", signature, name),
        ("payload é", signature[:-4] + "AAAA", name),
        ("payload é", "not base64!", name),
        ("payload é", signature, "another"),
    ):
        with pytest.raises(signing.UntrustedSignature):
            signing.verify(payload, mark, signer, {name: private.public_key()})
    stranger = signing.load_public_key(tmp_path / "other")
    with pytest.raises(signing.UntrustedSignature):
        signing.verify("payload é", signature, name, {name: stranger})


def test_a_key_file_of_the_wrong_half_is_refused(tmp_path: Path) -> None:
    pair = signing.new_key_pair()
    (tmp_path / "public").write_text(pair.public_pem)
    with pytest.raises(ValueError, match="PEM"):
        signing.load_private_key(tmp_path / "public")
