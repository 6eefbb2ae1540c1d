// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

/// Sends native coin on, so that a simulation has inner transfers to find.
contract Forwarder {
    error NotForwarded();

    /// Everything that came with the call goes to `to`.
    function forward(address payable to) external payable {
        _send(to, msg.value);
    }

    /// Half to each; the first gets the odd wei.
    function split(address payable first, address payable second) external payable {
        uint256 half = msg.value / 2;
        _send(first, msg.value - half);
        _send(second, half);
    }

    /// Passes only a fraction of the gas on, so that an estimate without margin runs dry (EIP-150: 63/64).
    function nested(address payable to, uint256 depth) external payable {
        if (depth == 0) {
            _send(to, address(this).balance);
        } else {
            this.nested{value: msg.value}(to, depth - 1);
        }
    }

    function _send(address payable to, uint256 value) private {
        (bool sent, ) = to.call{value: value}("");
        if (!sent) revert NotForwarded();
    }
}
